"""deploy/pod.sh for real: it brings a server up, leaves it alone, restarts it, and begins again what was broken off."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.yapbench.processes import CHECKOUT, wait_for
from yapbench import service
from yapbench.command import free_port

POD = CHECKOUT / "deploy" / "pod.sh"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),  # seconds on a quiet machine; each call is a fresh Python
    pytest.mark.skipif(sys.platform != "linux", reason="supervision needs Linux"),
]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """A folder of services of our own; nothing of them stays."""
    folder = tmp_path / "run"
    yield folder
    service.down("echo", run=folder)


def words(*flags: str) -> list[str]:
    return ["/bin/bash", str(POD), "echo", *flags]


def environment(run: Path) -> dict[str, str]:
    return os.environ | {"YAPBENCH_RUN": str(run), "ECHO_KEY": ""}


def pod(run: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """From another folder, as a user may stand anywhere."""
    return subprocess.run(
        words(*flags), cwd="/", env=environment(run), capture_output=True, text=True, check=False, timeout=180
    )


def block(text: str) -> str:
    return text[text.index("echo is up and has answered") :]


def test_begun_again_after_a_kill_then_left_alone_then_restarted_then_stopped(run: Path) -> None:
    port = free_port()
    with subprocess.Popen(words(f"--port={port}"), env=environment(run), stdout=subprocess.DEVNULL) as process:
        assert wait_for(lambda: (run / "echo" / "pid.json").exists(), 180)
        process.kill()
    (run / "echo" / "ready").unlink(missing_ok=True)  # had it been quicker than we
    killed = service.status("echo", run=run)
    first = pod(run, f"--port={port}")
    assert first.returncode == 0, first.stderr
    assert "echo is starting, a start was broken off" in first.stdout and "machine: it will run on" in first.stdout
    assert re.search(rf"here +http://127.0.0.1:{port}\n", first.stdout)
    assert service.status("echo", run=run).pid != killed.pid
    assert_the_key_is_in_its_file_only(run, first)
    again = pod(run, f"--port={port}")
    assert again.returncode == 0 and "nothing to do" in again.stdout and block(again.stdout) == block(first.stdout)
    other = pod(run, f"--port={port}", "--delay-ms=3")
    assert other.returncode == 0 and "other flags: delay_ms 0.0 -> 3.0" in other.stdout
    stop = re.search(r"stop +(.*)$", other.stdout, re.MULTILINE)
    assert stop is not None
    done = subprocess.run(["/bin/bash", "-c", stop[1]], env=environment(run), capture_output=True, text=True)
    assert done.stdout == "echo has ended\n"
    assert service.status("echo", run=run).state == "down"


def assert_the_key_is_in_its_file_only(run: Path, said: subprocess.CompletedProcess[str]) -> None:
    key = re.fullmatch(r"export ECHO_KEY=(\S{32,})\n", (run / "echo" / "key.env").read_text())
    assert key and key[1] not in said.stdout + said.stderr
    kept = [path.name for path in (run / "echo").iterdir() if key[1] in path.read_text()]
    assert kept == ["key.env"]


def test_ctrl_c_leaves_nothing_and_says_how_to_go_on(run: Path) -> None:
    made = words(f"--port={free_port()}")
    with subprocess.Popen(
        made, env=environment(run), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert wait_for(lambda: (run / "echo" / "pid.json").exists(), 180)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on where it was" in said
    assert service.status("echo", run=run).state == "down"


def test_what_cannot_be_is_refused_with_a_remedy(run: Path) -> None:
    done = subprocess.run(
        ["/bin/bash", str(POD), "parakeet", "--device=cuda"],
        env=environment(run) | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "CUDA_VISIBLE_DEVICES hides every GPU" in done.stderr or "no NVIDIA driver answers" in done.stderr
    assert "deploy/pod.sh parakeet --model=tiny --device=cpu" in done.stderr


def test_a_mistyped_name_is_said_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "pod.sh").write_bytes(POD.read_bytes())
    for name in ("common", "echo", "kyutai"):
        (tmp_path / "servers" / name).mkdir(parents=True)
        (tmp_path / "servers" / name / "settings.py").touch()
    done = subprocess.run(
        ["/bin/bash", str(tmp_path / "deploy" / "pod.sh"), "kyuti"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "pod: unknown server 'kyuti'; did you mean 'kyutai'?; known: echo kyutai\n"
