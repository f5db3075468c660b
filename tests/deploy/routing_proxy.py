"""HAProxy with the project's own configuration in front of replicas, under the project's supervisor."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.common import lifeline
from yapbench import probe
from yapbench.command import free_port
from yapbench.process import Server

CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "haproxy"
# Debian's lies in a folder that is not on everybody's PATH.
BINARY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
needs_haproxy = pytest.mark.skipif(BINARY is None, reason="needs haproxy")
_PATIENCE_S = 30.0
_FIELD = re.compile(r'(\w+)=("[^"]*"|\S+)')


def until(true: Callable[[], bool], what: Callable[[], object]) -> None:
    """Wait for something that comes; fails with `what` there is instead."""
    end_s = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < end_s, what()
        time.sleep(0.02)


@dataclass
class Proxy:
    """A running HAProxy, master and worker, that offers one server's replicas."""

    server: str
    folder: Path
    port: int
    statistics_port: int
    supervised: lifeline.Supervised
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "proxy.log").read_text()

    def rows(self) -> list[dict[str, str]]:
        """What it logged of requests and sessions, once they had ended."""
        lines = [line for line in self.log.splitlines() if " client=" in line]
        return [{name: value.strip('"') for name, value in _FIELD.findall(line)} for line in lines]

    def replica_of(self, request_id: str) -> str:
        """Who served a request or session that has ended."""
        return next(row["replica"] for row in self.rows() if row["request_id"] == request_id)

    def _replicas(self) -> list[dict[str, str]]:
        _, page = probe.fetch(f"http://127.0.0.1:{self.statistics_port}/;csv")
        rows = csv.DictReader(page.decode().removeprefix("# ").splitlines())
        names = ("FRONTEND", "BACKEND")
        return [row for row in rows if row["pxname"] == self.server and row["svname"] not in names]

    def states(self) -> dict[str, str]:
        """UP, NOLB (drains), DOWN, DRAIN or MAINT; and UNCHECKED before the first answer."""
        rows = self._replicas()
        return {row["svname"]: row["status"] if row["check_status"] != "INI" else "UNCHECKED" for row in rows}

    def sessions(self) -> dict[str, int]:
        """How many each replica has."""
        return {row["svname"]: int(row["scur"]) for row in self._replicas()}

    def wait_for_states(self, **expected: str) -> None:
        """By the replicas' numbers: r1="UP"."""
        wanted = {name.replace("r", f"{self.server}-"): state for name, state in expected.items()}
        until(lambda: wanted.items() <= self.states().items(), self.states)

    def comes_up(self) -> bool:
        """Whether it has asked every replica once; False when it has ended instead."""
        until(lambda: self._answers() or not self.supervised.alive(), lambda: self.log)
        if self.supervised.alive():
            until(lambda: "UNCHECKED" not in self.states().values(), self.states)
        return self.supervised.alive()

    def _answers(self) -> bool:
        try:
            return bool(self.states())
        except OSError:
            return False

    def close(self) -> None:
        self.supervised.stop()

    def say(self, command: str) -> str:
        """A command on the admin socket, and its answer."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.folder / "admin"))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode().strip()

    def offer(self, replicas: Mapping[str, str], *, kind: str = "replicas") -> None:
        """Write replicas.cfg: names and addresses of the replicas, the defaults they take."""
        _write_replicas(self.folder, self.server, replicas, kind)

    def reload(self) -> None:
        """Take the new replicas.cfg, as an operator would; returns when the new worker serves."""
        # Until it serves for the first time the master ignores the signal.
        until(self._hears_reloads, lambda: self.log)
        before = self.log.count("Loading success")
        os.kill(self.supervised.pid, signal.SIGUSR2)
        until(lambda: self.log.count("Loading success") > before, lambda: self.log)

    def _hears_reloads(self) -> bool:
        status = Path(f"/proc/{self.supervised.pid}/status").read_text()
        caught = re.findall(r"^SigCgt:\s+(\w+)", status, re.MULTILINE)
        return bool(int(caught[0], 16) >> (signal.SIGUSR2 - 1) & 1)


def named(server: str, replicas: list[Server]) -> dict[str, str]:
    """Names and addresses of the replicas, as `Proxy.offer` takes them."""
    return {f"{server}-{number + 1}": one.url.removeprefix("http://") for number, one in enumerate(replicas)}


@contextlib.contextmanager
def proxy(
    server: str, replicas: Mapping[str, str], folder: Path, *, kind: str = "replicas", **environment: str
) -> Iterator[Proxy]:
    """Start one and wait until it has asked every replica. `environment` is what haproxy.cfg reads."""
    for attempt in range(3):
        made = _start(server, replicas, folder, kind, environment)
        with contextlib.closing(made):
            if made.comes_up():
                yield made
                return
        # Somebody took the port between the look and the bind.
        assert attempt < 2 and "cannot bind" in made.log, made.log


def _write_replicas(folder: Path, server: str, replicas: Mapping[str, str], kind: str) -> None:
    lines = [f"    server {name} {address}\n" for name, address in replicas.items()]
    (folder / "replicas.cfg").write_text(f"backend {server} from {kind}\n{''.join(lines)}")


def _start(server: str, replicas: Mapping[str, str], folder: Path, kind: str, environment: Mapping[str, str]) -> Proxy:
    port, statistics_port = free_port(), free_port()
    given = {
        "PATH": os.defpath,
        f"{server.upper()}_PORT": str(port),
        "STATS_PORT": str(statistics_port),
        "LISTEN_ADDRESS": "127.0.0.1",
        "ADMIN_SOCKET": str(folder / "admin"),
        **environment,
    }
    command = [str(BINARY), "-W", "-db", "-f", str(CONFIG / "haproxy.cfg"), "-f", str(folder / "replicas.cfg")]
    scheme = "https" if "TLS_CERTIFICATE" in environment else "http"
    folder.mkdir(parents=True, exist_ok=True)
    _write_replicas(folder, server, replicas, kind)
    with (folder / "proxy.log").open("wb") as log:
        supervised = lifeline.spawn(command, log=log, environment=given, grace_s=1.0)
    return Proxy(server, folder, port, statistics_port, supervised, scheme)
