"""The service verbs as people see them: words on the screen, exit codes, a log that may be left at any time."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from servers.voxtral.settings import Settings as Voxtral
from tests.yapbench.processes import CHECKOUT, command, new_mark, wait_for
from tests.yapbench.test_service import stale
from yapbench import catalog, service
from yapbench.command import free_port
from yapbench.errors import ExitCode, UsageError
from yapbench.verbs import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="supervision needs Linux"),
]


@pytest.mark.slow
def test_up_status_restart_logs_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    try:
        assert serving.up("echo", [f"--port={port}", "--seed=7", "--ready-timeout-s", "60"], run=tmp_path) == 0
        assert f"echo is up at http://127.0.0.1:{port} (pid " in capsys.readouterr().out
        assert serving.status("echo", run=tmp_path) == ExitCode.OK
        said = capsys.readouterr().out
        assert "echo: up, /health ok, /ready ok" in said and f"port {port}" in said and "last lines:" in said
        with pytest.raises(UsageError, match="--seed"):
            serving.restart("echo", ["--seed=-1"], run=tmp_path)
        before = service.status("echo", run=tmp_path)
        assert serving.restart("echo", ["--delay-ms=3"], run=tmp_path) == 0
        after = service.status("echo", run=tmp_path)
        assert after.pid != before.pid and after.port == port
        assert "--seed=7" in after.command_line and "--delay-ms=3" in after.command_line
        capsys.readouterr()
        assert serving.logs("echo", follow_log=False, lines=1, run=tmp_path) == 0
        assert capsys.readouterr().out.count("\n") == 1
    finally:
        assert serving.stop("echo", run=tmp_path) == 0
    assert serving.status("echo", run=tmp_path) == ExitCode.SERVER_FAILED
    assert "echo: down\n" in capsys.readouterr().out
    assert serving.stop("echo", run=tmp_path) == 0
    assert "was not up" in capsys.readouterr().out


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder of services with one that runs."""
    service.start(command(new_mark()), run=tmp_path)
    yield tmp_path
    service.down("small", run=tmp_path)


FOLLOWER = """
import sys
from pathlib import Path
from yapbench.verbs import serving
sys.exit(serving.logs("small", follow_log=True, lines=5, run=Path(sys.argv[1])))
"""


def follower(run: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", FOLLOWER, str(run)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, cwd=CHECKOUT, text=True)


def test_ctrl_c_on_a_followed_log_leaves_the_server_alone(small: Path) -> None:
    with follower(small) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("$ ")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "small runs on" in rest
    assert service.status("small", run=small).state == "up"


def test_following_ends_with_the_server(small: Path) -> None:
    with follower(small) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("$ ")
        service.down("small", run=small)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert rest.endswith("small is down\n")


def test_a_long_log_is_cut_while_the_server_runs(tmp_path: Path) -> None:
    service.start(command(new_mark()), run=tmp_path, log_limit_bytes=10)
    try:
        previous = tmp_path / "small" / "log.previous"
        assert wait_for(lambda: previous.exists() and "small server begins" in previous.read_text(), 10)
    finally:
        service.down("small", run=tmp_path)


def test_every_server_is_listed_and_one_that_runs_is_enough(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (small / "other").mkdir()
    (small / "other" / "log").write_text("")
    assert serving.status(None, run=small) == ExitCode.OK
    said = capsys.readouterr().out
    assert "other: down\n" in said and "small: up, /health ok, /ready ok" in said


def test_no_server_at_all_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serving.status(None, run=tmp_path) == ExitCode.SERVER_FAILED
    assert "no server was ever up" in capsys.readouterr().out


def test_one_that_ended_by_itself_is_told_from_one_that_was_put_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stale(tmp_path, boot_id="another")
    path.with_name("log").write_text("out of memory\n")
    assert serving.status(None, run=tmp_path) == ExitCode.SERVER_FAILED
    assert "small: down (it ended by itself" in capsys.readouterr().out


def test_one_that_does_not_answer_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stale(tmp_path, url=f"http://127.0.0.1:{free_port()}")
    path.with_name("log").write_text("")
    path.with_name("ready").write_text("")
    assert serving.status(None, run=tmp_path) == ExitCode.SERVER_FAILED
    assert "/health does not answer" in capsys.readouterr().out


def test_own_flags_are_told_from_the_servers() -> None:
    words = ["--follow", "--window-ms", "2", "--ready-timeout-s", "9", "--torch-compile", "--port=1"]
    own, rest = serving.split(words, switches={"follow"}, values={"ready_timeout_s"})
    assert own == {"follow": "", "ready_timeout_s": "9"}
    assert service.flag_values(rest) == {"window_ms": "2", "torch_compile": "true", "port": "1"}


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="number of seconds"):
        serving.seconds({"ready_timeout_s": text}, "ready_timeout_s", 1.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (180_000, "2 d 2 h")]
)
def test_an_age_is_said_in_two_words(seconds: int, words: str) -> None:
    now = datetime(2030, 1, 5, tzinfo=UTC)
    started = datetime.fromtimestamp(now.timestamp() - seconds, UTC)
    assert serving.age(started.isoformat(), now=now) == words


def test_restarting_what_was_never_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="echo is not up: `yapbench up echo`"):
        service.restart("echo", {}, run=tmp_path)


def test_a_server_that_starts_an_engine_is_waited_for_longer() -> None:
    assert serving.ready_timeout_s(catalog.lookup("smart_turn")) == serving.READY_TIMEOUT_S
    assert serving.ready_timeout_s(catalog.lookup("voxtral")) > Voxtral().engine_start_timeout_s
