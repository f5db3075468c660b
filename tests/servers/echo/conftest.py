"""`echo` as users run it: a process of its own on a free port."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

START_LIMIT_S = 60


@dataclass(frozen=True)
class Echo:
    """A running server process. Its output goes to `log`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def log_text(self) -> str:
        return self.log.read_text()


StartEcho = Callable[..., Echo]


@pytest.fixture
def start_echo(tmp_path: Path) -> Iterator[StartEcho]:
    """Call it with flags (and `environ=`); the processes are gone after the test."""
    with echoes(tmp_path) as start:
        yield start


@contextmanager
def echoes(folder: Path) -> Iterator[StartEcho]:
    """What `start_echo` gives, for as long as the block lasts."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*flags: str, environ: dict[str, str] | None = None) -> Echo:
        log = folder / f"server-{len(processes)}.log"
        command = [sys.executable, "-m", "servers.echo", "--host=127.0.0.1", "--port=0", "--log-format=json", *flags]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=folder, env={**os.environ, **(environ or {})}
            )
        processes.append(process)
        return Echo(process, wait_for_port(process, log), log)

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
            process.wait()


def wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    limit_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit_s:
        for line in log.read_text().splitlines():
            if line.startswith("{") and json.loads(line)["message"] == "listening":
                return int(json.loads(line)["port"])
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


@pytest.fixture
def body() -> bytes:
    """Half a second of silence as `np.save` writes it."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(8000, dtype="<f4"))
    return buffer.getvalue()
