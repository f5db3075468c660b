"""The gateway as a process with a child of its own, which is the scripted engine: how both of them end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from servers.voxtral.engine.place import free_port
from tests.servers.voxtral.engine_folder import ROOT, model_folder

pytestmark = pytest.mark.slow

ENGINE = f"{sys.executable} -m tests.servers.voxtral.scripted_vllm"


@contextmanager
def gateway(folder: Path, *, engine: str = ENGINE) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address."""
    port = free_port()
    words = [sys.executable, "-m", "servers.voxtral", "--host=127.0.0.1", f"--port={port}"]
    words += [f"--model={model_folder(folder / 'model')}", f"--model-dir={folder / 'copies'}"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "VOXTRAL_API_KEY": "secret-of-clients"}
    environment |= {"VOXTRAL_ENGINE_COMMAND": engine, "VOXTRAL_ENGINE_START_TIMEOUT_S": "30"}
    with subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def ready(process: subprocess.Popen[str], address: str) -> list[psutil.Process]:
    """Waits for /ready; returns all that the gateway has started."""

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    wait_for(lambda: answers() or process.poll() is not None)
    assert process.poll() is None
    return psutil.Process(process.pid).children(recursive=True)


def wait_for(reached: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_the_engine_outlives_the_gateway(tmp_path: Path, number: signal.Signals) -> None:
    with gateway(tmp_path) as (process, address):
        engine = ready(process, address)
        assert any("scripted_vllm" in " ".join(one.cmdline()) for one in engine)
        process.send_signal(number)
        assert process.wait(15) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        _, left = psutil.wait_procs(engine, timeout=15)
        assert not left


def test_no_key_is_on_a_command_line_or_in_the_log(tmp_path: Path) -> None:
    with gateway(tmp_path) as (process, address):
        engine = ready(process, address)
        environments = [one.environ() for one in engine if "scripted_vllm" in " ".join(one.cmdline())]
        words = " ".join(word for one in engine for word in one.cmdline())
        keys = {found["VLLM_API_KEY"] for found in environments}
        assert len(keys) == 1 and not any("VOXTRAL_API_KEY" in found for found in environments)
        process.send_signal(signal.SIGTERM)
        shown = process.communicate(timeout=15)[1] + words
    logs = "".join(path.read_text() for path in (tmp_path / "copies" / "logs").iterdir())
    assert "the engine answers" in shown and not any(key in shown + logs for key in (*keys, "secret-of-clients"))


def test_an_engine_that_cannot_start_ends_the_gateway_with_its_reason(tmp_path: Path) -> None:
    with gateway(tmp_path, engine=shlex.join(["sh", "-c", "echo libcudart is missing; exit 3"])) as (process, _):
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "the engine ended with exit code 3" in said and said.rstrip().endswith("libcudart is missing")
