"""Every server of the catalogue as those that mean harm find it: how it is started, and where it takes what.

They are the real apps, as processes, around the fakes that their own tests use.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.raw_socket import read_head, upgrade_request
from tests.server_port import wait_for_port

ROOT = Path(__file__).resolve().parents[2]
HEAD_TIMEOUT_S = 0.5
CONNECTIONS = 24
KEY = "k"
WAIT_S = 30.0
"""Longer than any limit that is tested here: who waits for so long has found none."""


@dataclass(frozen=True)
class Target:
    """How a server is started here, and where it takes what."""

    module: str
    socket: str
    """Path of its WebSocket; empty where it has none."""
    upload: str = ""
    """Path that takes a body; empty where none does."""
    flags: tuple[str, ...] = ()
    last_word: str = ""
    """A text message after which it closes the connection."""
    slow_ms: int = 0
    """Of each call of its fake."""


TARGETS = {
    "echo": Target(
        "servers.echo",
        "/ws",
        "/raw",
        ("--max-body-bytes=100000", "--body-timeout-s=0.5"),
        last_word="no JSON",
    ),
    "smart_turn": Target(
        "tests.servers.smart_turn.stub_server",
        "",
        "/raw",
        ("--max-body-bytes=100000", "--body-timeout-s=0.5", "--sessions=1"),
        slow_ms=round(3000 * HEAD_TIMEOUT_S),
    ),
    "fastconformer": Target(
        "tests.servers.fastconformer.stub_server", "/", flags=("--device=cpu",), last_word="no JSON"
    ),
    "parakeet": Target(
        "tests.servers.parakeet.stub_server",
        "/ws",
        "/transcribe",
        ("--device=cpu", "--max-upload-mb=0.1", "--upload-timeout-s=0.5", "--idle-timeout-s=2"),
        last_word="no JSON",
    ),
    "kyutai": Target(
        "tests.servers.kyutai.stub_server",
        f"/?auth_id={KEY}",
        f"/api/asr-streaming?auth_id={KEY}",
        ("--device=cpu", "--max-upload-mb=0.1", "--upload-stall-s=0.5"),
        last_word="no JSON",
    ),
    "voxtral": Target(
        "tests.servers.voxtral.fake_server",
        f"/api/asr-streaming?api_key={KEY}",
        last_word='{"type":"end"}',
    ),
}
SOCKETS = [name for name, target in TARGETS.items() if target.socket]
UPLOADS = [name for name, target in TARGETS.items() if target.upload]


@dataclass(frozen=True)
class Running:
    """A server that has been started, with what it is."""

    target: Target
    process: subprocess.Popen[bytes]
    port: int

    def connect(self, *, receive_bytes: int = 0) -> socket.socket:
        client = socket.socket()
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.settimeout(WAIT_S)
        client.connect(("127.0.0.1", self.port))
        return client

    def upgrade(self, *headers: str, receive_bytes: int = 0) -> tuple[socket.socket, bytes]:
        """A WebSocket, and the head of the answer."""
        client = self.connect(receive_bytes=receive_bytes)
        client.sendall(upgrade_request(self.target.socket, *headers))
        return client, read_head(client)

    def upload(self, *headers: str) -> bytes:
        """The head of a request with a body."""
        given = [f"POST {self.target.upload} HTTP/1.1", "Host: x", "Content-Type: application/octet-stream", *headers]
        return "\r\n".join([*given, "", ""]).encode()

    def resident_mb(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 1e6


@contextmanager
def started(folder: Path) -> Iterator[dict[str, Running]]:
    """All of them, started at once; their logs are in `folder`."""
    keys = {"KYUTAI_API_KEY": KEY, "VOXTRAL_API_KEY": KEY, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    begun: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
    try:
        for name, target in TARGETS.items():
            log = folder / f"{name}.log"
            limits = [f"--head-timeout-s={HEAD_TIMEOUT_S}", f"--connection-limit={CONNECTIONS}"]
            command = [sys.executable, "-m", target.module, "--host=127.0.0.1", "--port=0", "--log-format=json"]
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [*command, *limits, *target.flags],
                    stdout=output,
                    stderr=output,
                    cwd=folder,
                    env={**os.environ, **keys, "STUB_MS": str(target.slow_ms)},
                )
            begun[name] = process, log
        yield {
            name: Running(TARGETS[name], process, wait_for_port(process, log)) for name, (process, log) in begun.items()
        }
    finally:
        for process, _ in begun.values():
            process.kill()
            process.wait()


def check_well(server: Running) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{server.port}/health").status_code == 200:
                return
        assert time.monotonic() < deadline_s, "does not answer any more"
        time.sleep(0.02)


def everywhere(servers: dict[str, Running], names: list[str], act: Callable[[Running], None]) -> None:
    """At once, for what takes a server long; raises what one of them raised."""
    with ThreadPoolExecutor(len(names)) as pool:
        for done in [pool.submit(act, servers[name]) for name in names]:
            done.result()
