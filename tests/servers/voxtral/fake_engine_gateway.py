"""The real gateway, with nothing in it that is faked, as a process before the scripted engine, another process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from servers.voxtral.app import PATH
from tests.server_port import wait_for_port
from tests.servers.voxtral.conftest import KEY, ROOT

ENGINE_KEY = "engine-secret"


@dataclass(frozen=True)
class Pair:
    """Both are running."""

    gateway: subprocess.Popen[bytes]
    engine: subprocess.Popen[bytes]
    port: int
    engine_url: str

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"ws://{self.address}{PATH}"

    @property
    def engine_port(self) -> int:
        return int(self.engine_url.rpartition(":")[2].partition("/")[0])

    @property
    def open_files(self) -> int:
        """Of the gateway."""
        return sum(1 for _ in Path(f"/proc/{self.gateway.pid}/fd").iterdir())

    @property
    def resident_kib(self) -> int:
        """Of the gateway."""
        pages = int(Path(f"/proc/{self.gateway.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024

    @property
    def cpu_s(self) -> float:
        """What the gateway has used so far."""
        fields = Path(f"/proc/{self.gateway.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(folder: Path, *, gateway: tuple[str, ...] = (), engine: tuple[str, ...] = ()) -> Iterator[Pair]:
    """Gateway and engine with these flags, once the gateway is ready; both are gone in the end. Logs go to `folder`."""
    common = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    engine_log, gateway_log = folder / "engine.log", folder / "gateway.log"
    processes = []
    try:
        words = ["-m", "tests.servers.voxtral.scripted_vllm", "--port=0", *engine]
        processes.append(_started(words, engine_log, common | {"VLLM_API_KEY": ENGINE_KEY}))
        url = _url_of(processes[0], engine_log)
        words = ["-m", "servers.voxtral", "--host=127.0.0.1", "--port=0", "--model=tiny", "--log-format=json"]
        keys = {"VOXTRAL_API_KEY": KEY, "VLLM_REALTIME_API_KEY": ENGINE_KEY, "VLLM_REALTIME_URL": url}
        processes.append(_started([*words, *gateway], gateway_log, common | keys))
        port = wait_for_port(processes[1], gateway_log)
        _wait_until_ready(processes[1], gateway_log, port)
        yield Pair(processes[1], processes[0], port, url)
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def _started(words: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen([sys.executable, *words], stdout=output, stderr=output, env=environment, cwd=log.parent)


def _url_of(process: subprocess.Popen[bytes], log: Path, *, timeout_s: float = 60.0) -> str:
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        for line in log.read_text().splitlines():
            if line.startswith("listening on "):
                return line.removeprefix("listening on ")
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, port: int, *, timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while httpx.get(f"http://127.0.0.1:{port}/ready", timeout=30).status_code != 200:
        assert process.poll() is None and time.monotonic() < end_s, log.read_text()
        time.sleep(0.05)
