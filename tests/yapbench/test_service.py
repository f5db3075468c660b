"""Servers that outlive their caller, and pid files that no longer mean anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servers.common.supervise import ProcessId
from tests.yapbench.processes import CHECKOUT, command, far_child, left_after, marked, new_mark, wait_for
from yapbench import machine, probe, service
from yapbench.command import free_port
from yapbench.errors import ServerDied, UsageError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="supervision needs Linux")


@pytest.mark.slow
def test_up_status_logs_down(tmp_path: Path) -> None:
    port = free_port()
    try:
        shown = service.up("echo", {"seed": 7}, port=port, run=tmp_path)
        assert (shown.state, shown.port, shown.url) == ("up", port, f"http://127.0.0.1:{port}")
        assert service.services(run=tmp_path) == [shown] == [service.status("echo", run=tmp_path)]
        assert "listening" in service.logs("echo", run=tmp_path)
        with pytest.raises(UsageError, match="echo is up already"):
            service.up("echo", {}, port=free_port(), run=tmp_path)
    finally:
        assert service.down("echo", run=tmp_path)
    assert service.status("echo", run=tmp_path).state == "down"
    assert probe.port_is_free(port)
    assert not service.down("echo", run=tmp_path)


CALLER = """
import sys
from pathlib import Path
from tests.yapbench.processes import command
from yapbench import service
service.start(command(sys.argv[1], port=int(sys.argv[2])), run=Path(sys.argv[3]))
print("up", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_it_survives_its_caller_killed_with_its_whole_group(tmp_path: Path) -> None:
    mark, port = new_mark(), free_port()
    words = [sys.executable, "-c", CALLER, mark, str(port), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, cwd=CHECKOUT, start_new_session=True) as caller:
        assert caller.stdout is not None and caller.stdout.readline() == b"up\n"
        os.killpg(caller.pid, signal.SIGKILL)
    assert wait_for(lambda: far_child(mark), 5)
    assert service.status("small", run=tmp_path).state == "up"
    assert service.down("small", run=tmp_path)
    assert left_after(mark, port) == ""


@pytest.mark.slow
def test_down_ends_what_a_killed_guard_has_left(tmp_path: Path) -> None:
    mark = new_mark()
    made = command(mark)
    service.start(made, run=tmp_path)
    guard = json.loads((tmp_path / "small" / "pid.json").read_text())["supervised"]["guard"]["pid"]
    os.kill(guard, signal.SIGKILL)
    service.down("small", run=tmp_path)
    assert left_after(mark, made.port) == ""


def test_a_server_that_fails_leaves_its_log_and_no_pid_file(tmp_path: Path) -> None:
    mark = new_mark()
    with pytest.raises(ServerDied, match="model file is broken"):
        service.start(command(mark, "dies"), run=tmp_path)
    assert not (tmp_path / "small" / "pid.json").exists()
    assert "model file is broken" in service.logs("small", run=tmp_path)
    assert marked(mark) == []


def stale(run: Path, **changes: object) -> Path:
    """A pid file that names living processes, this one, but for the changes."""
    me = ProcessId.me()
    identity = {"pid": me.pid, "start_ticks": me.start_ticks}
    facts = {
        "boot_id": machine.boot_id(),
        "supervised": {"guard": identity, "keeper": identity, "process": identity},
        "grace_s": 1.0,
        "port": 1,
        "host": "127.0.0.1",
        "url": "",
        "command_line": "",
        "started_at": "",
    }
    (run / "small").mkdir()
    path = run / "small" / "pid.json"
    path.write_text(json.dumps(facts | changes))
    return path


def test_a_pid_file_of_another_boot_is_stale(tmp_path: Path) -> None:
    path = stale(tmp_path, boot_id="another")
    assert service.status("small", run=tmp_path).state == "down"
    assert not service.down("small", run=tmp_path)
    assert not path.exists()


def test_a_pid_file_whose_numbers_are_somebody_elses_is_stale(tmp_path: Path) -> None:
    other = {"pid": os.getpid(), "start_ticks": 1}
    stale(tmp_path, supervised={"guard": other, "keeper": other, "process": other})
    assert service.status("small", run=tmp_path).state == "down"
    assert not service.down("small", run=tmp_path)


@pytest.mark.parametrize("text", ["", "[]", '{"supervised": null}', "{"])
def test_a_broken_pid_file_means_down(tmp_path: Path, text: str) -> None:
    stale(tmp_path).write_text(text)
    assert service.status("small", run=tmp_path).state == "down"


def test_a_living_pid_file_without_ready_is_starting(tmp_path: Path) -> None:
    stale(tmp_path)
    assert service.status("small", run=tmp_path).state == "starting"


def test_no_logs_of_a_server_that_was_never_up(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="never up"):
        service.logs("small", run=tmp_path)
