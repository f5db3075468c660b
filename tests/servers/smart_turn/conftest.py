"""Real server processes, and bodies as a client makes them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.server_port import wait_for_port

ROOT = Path(__file__).resolve().parents[3]
STUB = str(Path(__file__).with_name("stub_server.py"))


def np_save(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@dataclass(frozen=True)
class RunningServer:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def ask(self, *samples: float, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.post(np_save(np.array(samples, np.float32)), headers=headers)

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        return httpx.post(f"{self.url}/raw", content=body, headers=headers, timeout=30)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/status").json()
        return found


Start = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a server: `start("--window-ms=0", real=False, STUB_MS="50")`. All end with the module, cleanly."""
    started: list[RunningServer] = []

    def launch(*flags: str, real: bool = False, **environment: str) -> RunningServer:
        folder = tmp_path_factory.mktemp("server")
        log = folder / "server.log"
        program = ["-m", "servers.smart_turn"] if real else [STUB]
        common = ["--port=0", "--host=127.0.0.1", "--log-format=json"]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *program, *common, *flags],
                cwd=folder,
                # Without a GPU, whatever machine this is: auto means v3 here.
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", **environment},
                stdout=file,
                stderr=file,
            )
        server = RunningServer(f"http://127.0.0.1:{wait_for_port(process, log)}", process, log)
        started.append(server)
        return server

    yield launch
    for server in started:
        server.process.terminate()
    exit_codes = [server.process.wait(20) for server in started]
    assert exit_codes == [0] * len(started)
