"""Launching and attaching, on small servers and on echo."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.yapbench.processes import command, marked, new_mark
from yapbench import command as commands
from yapbench import probe, process
from yapbench.errors import ServerDied, ServerError, ServerNotReady, SettingsDiffer, UsageError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="supervision needs Linux"),
]


def test_echo_is_launched_as_asked_and_its_port_is_free_afterwards(tmp_path: Path) -> None:
    settings = {"seed": 7, "trace_path": tmp_path / "trace"}
    with process.launch("echo", settings=settings, log_path=tmp_path / "a" / "log") as server:
        status = server.status()
        assert (status["server"], status["pid"], status["settings"]["seed"]) == ("echo", server.pid, 7)
        assert server.alive() and 0 < server.ready_s < 60
        port = status["settings"]["port"]
    assert not server.alive()
    assert probe.port_is_free(port)
    server.stop()


def test_the_command_line_can_be_pasted(tmp_path: Path) -> None:
    made = commands.of_server("echo", settings={"seed": 7}, secrets={"STATUS_KEY": "hunter2"})
    assert made.line.startswith('STATUS_KEY="$STATUS_KEY" ')
    assert "hunter2" not in made.line and "hunter2" not in repr(made)
    assert str(commands.CHECKOUT) not in made.line
    words = shlex.split(made.line)[1:]
    assert words[1:] == list(made.argv[1:])
    done = subprocess.run([*words, "--help"], cwd=commands.CHECKOUT, capture_output=True, text=True, check=True)
    assert "usage: python -m servers.echo" in done.stdout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sede": 1}, "did you mean 'seed'"),
        ({"seed": "x"}, "--seed"),
        ({"host": "203.0.113.1"}, "no free port"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        process.launch("echo", settings=settings, log_path=tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is already in use"):
            process.launch("echo", settings={}, log_path=tmp_path / "log", port=port)


def test_a_server_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    mark = new_mark()
    with pytest.raises(ServerDied, match="ended with exit code 1 before it was ready") as died:
        process.start(command(mark, "dies"), log_path=tmp_path / "log")
    assert died.value.log_tail.splitlines()[-1] == "model file is broken"
    assert marked(mark) == []


def test_a_server_that_does_not_become_ready_is_stopped(tmp_path: Path) -> None:
    mark = new_mark()
    with pytest.raises(ServerNotReady, match=r"not ready after 0\.5 s") as late:
        process.start(command(mark, "never-ready"), log_path=tmp_path / "log", ready_timeout_s=0.5)
    assert "small server begins" in late.value.log_tail
    assert marked(mark) == []


def test_other_settings_than_asked_fail_the_launch(tmp_path: Path) -> None:
    mark = new_mark()
    with pytest.raises(SettingsDiffer, match=r"window_ms=5\.0 instead of 2\.0"):
        process.start(command(mark, asked={"window_ms": 2.0}), log_path=tmp_path / "log")
    assert marked(mark) == []


def test_an_answer_of_another_process_fails_the_launch(tmp_path: Path) -> None:
    with pytest.raises(ServerNotReady, match="answered by another process"):
        process.start(command(new_mark(), "impostor"), log_path=tmp_path / "log")


def test_the_environment_is_clean_and_secrets_travel_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with process.start(command(new_mark(), STATUS_KEY="hunter2"), log_path=tmp_path / "log") as server:
        status = server.status()
    assert status["seen"] == {"RAY_ADDRESS": None, "STATUS_KEY": "hunter2", "PYTHONPATH": str(commands.CHECKOUT)}
    assert status["settings"]["key"] == "hunter2"
    assert "hunter2" not in (tmp_path / "log").read_text() + server.command_line


def test_cpus_are_set_by_affinity(tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    with process.start(command(new_mark()), log_path=tmp_path / "log", cpus=[cpu]) as server:
        assert server.status()["cpus"] == [cpu]


def test_cpus_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cpus \[9999\]"):
        process.start(command(new_mark()), log_path=tmp_path / "log", cpus=[9999])


def test_a_death_while_it_serves_is_seen(tmp_path: Path) -> None:
    with process.start(command(new_mark()), log_path=tmp_path / "log") as server:
        assert server.pid is not None
        os.kill(server.pid, 9)
        assert server.supervised is not None and server.supervised.wait(12)
        assert not server.alive()
        with pytest.raises(ServerDied):
            server.status()


def test_attaching_finds_the_process_and_leaves_it_alone(tmp_path: Path) -> None:
    with process.start(command(new_mark()), log_path=tmp_path / "log") as server:
        with process.attach(server.url + "/") as attached:
            assert (attached.name, attached.pid, attached.url) == ("small", server.pid, server.url)
            assert {p.pid for p in attached.processes()} <= {p.pid for p in server.processes()}
            assert attached.log_tail() == "" and attached.ready_s == 0
        assert server.alive() and attached.alive()
    assert not attached.alive() and attached.processes() == []


def test_a_pid_of_another_machine_or_container_is_not_believed(tmp_path: Path) -> None:
    running = process.spawn(command(new_mark(), "impostor"), log_path=tmp_path / "log")
    try:
        running.wait_until_ready(30)
        assert process.attach(running.url).pid is None
    finally:
        running.stop()


@pytest.mark.parametrize(("url", "error"), [("localhost:80", UsageError), ("http://127.0.0.1:1", ServerNotReady)])
def test_attaching_to_nothing_is_refused(url: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        process.attach(url)


def test_a_proxy_in_the_environment_is_not_asked_about_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with process.start(command(new_mark()), log_path=tmp_path / "log") as server:
        assert server.status()["server"] == "small"


def test_servers_start_side_by_side_from_threads(tmp_path: Path) -> None:
    servers: list[process.Server] = []

    def start(number: int) -> None:
        servers.append(process.start(command(new_mark()), log_path=tmp_path / f"{number}.log"))

    threads = [threading.Thread(target=start, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({server.url for server in servers}) == 3
    assert all(server.alive() for server in servers)
    for server in servers:
        server.stop()


def test_a_port_that_stays_taken_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PORT_FREE_S", 0.2)
    server = process.start(command(new_mark()), log_path=tmp_path / "log")
    server.supervised.stop() if server.supervised else None
    place = ("127.0.0.1", int(server.url.rpartition(":")[2]))
    with socket.create_server(place), pytest.raises(ServerError, match="is still in use"):
        server.stop()


def test_the_foreground_server_takes_over_process_and_exit_code() -> None:
    code = "from yapbench import process; process.foreground('echo', ['--seed=x'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "-m servers.echo --seed=x" in done.stdout
    assert "--seed" in done.stderr


def test_a_tail_is_the_end_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("x" * 70_000 + "\n1\n2\n3\n")
    assert process.tail(tmp_path / "log", 2) == "2\n3"
    assert process.tail(tmp_path / "none", 2) == ""


ELSEWHERE = """
import os, signal, sys, urllib.request
import psutil, pydantic_settings, pynvml, servers.smart_turn.settings
for name in "pidfd_open sched_getaffinity fork setsid pipe2".split():
    delattr(os, name)
for name in "SIGKILL SIGHUP SIGQUIT SIGCHLD pthread_sigmask".split():
    delattr(signal, name)
sys.modules["fcntl"] = None
sys.platform = "darwin"
from pathlib import Path
from yapbench import doctor, envs, errors, machine, process, service
from yapbench.monitoring import monitor
assert machine.pinning().server_cpus is None
try:
    process.launch("echo", settings={}, log_path=Path(sys.argv[1]) / "log")
except errors.UsageError as refused:
    print(refused)
"""


def test_elsewhere_everything_imports_and_launching_says_what_it_needs(tmp_path: Path) -> None:
    words = [sys.executable, "-c", ELSEWHERE, str(tmp_path)]
    done = subprocess.run(words, cwd=commands.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "starting a server needs Linux" in done.stdout and "darwin" in done.stdout
    assert list(tmp_path.iterdir()) == []
