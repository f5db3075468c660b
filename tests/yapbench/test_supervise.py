"""However an owner ends, its server, the server's children and the port are gone within 12 s."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from servers.common import lifeline
from servers.common.supervise import ProcessId, SupervisedIds
from tests.yapbench.processes import CHECKOUT, OWNER, Owner, command, far_child, left_after, marked, new_mark, wait_for
from yapbench import process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="supervision needs Linux"),
]


@pytest.mark.parametrize("then", ["end", "raise"])
def test_an_owner_that_ends_by_itself_leaves_nothing(tmp_path: Path, then: str) -> None:
    with Owner(tmp_path, then) as owner:
        assert wait_for(lambda: far_child(owner.mark), 5)
        owner.go()
        assert left_after(owner.mark, owner.port) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_owner_ended_by_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with Owner(tmp_path, "wait") as owner:
        assert wait_for(lambda: far_child(owner.mark), 5)
        owner.process.send_signal(number)
        owner.process.wait()
        assert left_after(owner.mark, owner.port) == ""


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.15, 0.25, 0.35, 0.5])
def test_an_owner_killed_while_it_starts_a_server_leaves_nothing(tmp_path: Path, after_s: float) -> None:
    mark = new_mark()
    words = [sys.executable, str(OWNER), mark, str(tmp_path / "log"), "wait"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=CHECKOUT) as owner:
        time.sleep(after_s)  # wherever that hits it: a slow machine moves the moments, not the outcome
        owner.kill()
    assert wait_for(lambda: not marked(mark), 12)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["guard", "keeper", "server"])
def test_each_of_the_chain_may_be_killed_while_the_owner_lives(tmp_path: Path, who: str) -> None:
    with Owner(tmp_path, "wait") as owner:
        assert wait_for(lambda: far_child(owner.mark), 5)
        os.kill(getattr(owner, who), signal.SIGKILL)
        assert wait_for(lambda: [p.pid for p in marked(owner.mark)] == [owner.process.pid], 12)
        assert owner.process.poll() is None


def test_guard_and_keeper_killed_at_once_end_the_server_and_the_next_launch_ends_the_rest(tmp_path: Path) -> None:
    with Owner(tmp_path, "wait") as owner:
        assert wait_for(lambda: far_child(owner.mark), 5)
        for pid in (owner.keeper, owner.guard):  # stopped first, so that neither sees the other die
            os.kill(pid, signal.SIGSTOP)
        for pid in (owner.keeper, owner.guard):
            os.kill(pid, signal.SIGKILL)
        assert wait_for(lambda: not psutil.pid_exists(owner.server) or not alive(owner.server), 5)
        assert far_child(owner.mark)
        lifeline.end_orphans()
        assert wait_for(lambda: [p.pid for p in marked(owner.mark)] == [owner.process.pid], 5)


def test_the_living_are_no_orphans(tmp_path: Path) -> None:
    with Owner(tmp_path, "wait") as owner:
        ended = lifeline.end_orphans()
        assert not {p.pid for p in marked(owner.mark)} & set(ended)
        assert alive(owner.server) and alive(owner.keeper) and alive(owner.guard)


NOTEBOOK = """
from pathlib import Path
from tests.yapbench.processes import command
from yapbench import process
server = process.start(command({mark!r}, port={port}), log_path=Path({log!r}))
import time
time.sleep(300)
"""


@pytest.mark.slow
def test_papermill_killed_leaves_neither_kernel_nor_server(tmp_path: Path) -> None:
    mark, port = new_mark(), command("any").port
    source = NOTEBOOK.format(mark=mark, port=port, log=str(tmp_path / "server.log"))
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "outputs": [],
        "source": source,
        "execution_count": None,
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "", "language": "python"}}
    book = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / f"{mark}.ipynb").write_text(json.dumps(book))
    papermill = subprocess.Popen(
        [sys.executable, "-m", "papermill", f"{mark}.ipynb", "out.ipynb", "--no-progress-bar"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_for(lambda: far_child(mark), 60)
        kernels = [p.pid for p in psutil.Process(papermill.pid).children()]
    finally:
        papermill.kill()
        papermill.wait()
    assert left_after(mark, port) == ""
    assert wait_for(lambda: not any(alive(pid) for pid in kernels), 12)


@pytest.mark.slow
def test_a_server_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    mark = new_mark()
    server = process.start(command(mark, "stubborn"), log_path=tmp_path / "log")
    server.stop()
    assert server.supervised is not None
    assert server.supervised.exit_code == 128 + signal.SIGKILL
    assert marked(mark) == []


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_code_is_the_processs_own(tmp_path: Path, script: str, code: int) -> None:
    with (tmp_path / "log").open("wb") as log:
        supervised = lifeline.spawn(["sh", "-c", script], log=log, environment=os.environ)
    assert supervised.wait(10)
    assert supervised.exit_code == code
    supervised.stop()


def test_a_program_that_is_not_there_says_so_in_the_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        supervised = lifeline.spawn([str(tmp_path / "absent")], log=log, environment=os.environ)
    assert supervised.wait(10)
    supervised.stop()
    assert supervised.exit_code == 127
    assert "absent" in (tmp_path / "log").read_text()


def test_orphans_that_end_are_reaped_while_the_process_runs(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        script = "for i in 1 2 3; do (sleep 0.1 & ); done; sleep 60"
        supervised = lifeline.spawn(["sh", "-c", script], log=log, environment=os.environ)
    keeper = psutil.Process(supervised.ids.keeper.pid)
    try:
        assert wait_for(lambda: len(keeper.children()) > 1, 5)
        assert wait_for(lambda: [c.pid for c in keeper.children()] == [supervised.pid], 5)
    finally:
        supervised.stop()


def test_waiting_costs_no_processor_time(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        supervised = lifeline.spawn(["sleep", "60"], log=log, environment=os.environ)
    both = [psutil.Process(p) for p in (supervised.ids.guard.pid, supervised.ids.keeper.pid)]
    before = [p.num_ctx_switches().voluntary for p in both]
    assert not supervised.wait(1.0)
    after = [p.num_ctx_switches().voluntary for p in both]
    supervised.stop()
    assert sum(after) - sum(before) < 5


def test_a_reused_number_is_another_process() -> None:
    me = ProcessId.me()
    other = ProcessId(me.pid, me.start_ticks + 1)
    assert me.alive()
    assert not other.alive()
    assert not other.signal(signal.SIGKILL)
    assert other.wait(0)


def test_ids_come_back_from_json_and_nothing_else_does() -> None:
    ids = SupervisedIds(*(ProcessId(n, n * 10) for n in (1, 2, 3)))
    value = {n: {"pid": i, "start_ticks": i * 10} for n, i in (("guard", 1), ("keeper", 2), ("process", 3))}
    assert SupervisedIds.from_json(value) == ids
    with pytest.raises(ValueError, match="no supervised process"):
        SupervisedIds.from_json({"guard": None})


def alive(pid: int) -> bool:
    return ProcessId.of(pid) is not None
