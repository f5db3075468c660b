"""Servers as the harness sees them: `launch` starts one under supervision, `attach` takes one that runs already.

Knows HTTP's /ready, /health and /status; knows nothing of audio or load.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from servers.common import lifeline
from servers.common.errors import StartupRefused
from servers.common.supervise import GRACE_S
from servers.common.supervise import require_linux as _require_linux
from yapbench import command as commands
from yapbench import probe
from yapbench.command import Command
from yapbench.errors import ServerDied, ServerError, ServerNotReady, SettingsDiffer, UsageError

foreground = commands.foreground

SLOT_MARK = "YAPBENCH_SLOT"
"""Environment variable of everything that a sweep's run starts: its slot and owner (engines/leftovers.py)."""

_POLL_S = 0.05
_PORT_FREE_S = 10.0
_ATTEMPTS = 3
"""For a free port that somebody else took between the look and the server's bind."""

_COMPILE_POLL_S = 0.5
_BUSY_STATUS_S = 30.0
"""For an answer of a server whose compiler takes every core."""


class Server:
    """A running server. As a context manager it is stopped at the end, if it is ours."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        command: Sequence[str] = (),
        command_line: str = "",
        log_path: Path | None = None,
        pid: int | None = None,
        status_key: str = "",
        supervised: lifeline.Supervised | None = None,
    ) -> None:
        self.name, self.url = name, url.rstrip("/")
        self.command, self.command_line = list(command), command_line
        """Words; and the same to paste into a shell in the checkout's root. Empty for an attached server."""
        self.log_path = log_path
        self.pid = pid
        """Of the server's process, when it is on this machine."""
        self.ready_s = 0.0
        """From launch to ready; 0 for an attached server."""
        self._status_key = status_key
        self.supervised = supervised

    def alive(self) -> bool:
        """Whether its process runs; for an attached one, whether /health answers."""
        if self.supervised is not None:
            return self.supervised.alive()
        try:
            return self._get("/health")[0] < 500
        except OSError:
            return False

    def ready(self) -> bool:
        """Whether /ready answers 200."""
        try:
            return self._get("/ready")[0] == 200
        except OSError:
            return False

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return when /ready answers 200. Raises ServerDied or ServerNotReady with the last log lines."""
        deadline_s = time.monotonic() + timeout_s
        while not self.ready():
            if self.supervised is not None and self.supervised.wait(_POLL_S):
                ended = _in_words(self.supervised.exit_code)
                raise ServerDied(f"{self.name} {ended} before it was ready", log_tail=self.log_tail())
            if time.monotonic() > deadline_s:
                raise ServerNotReady(f"{self.name} was not ready after {timeout_s:g} s", log_tail=self.log_tail())

    def status(self, *, timeout_s: float = 2.0) -> dict[str, Any]:
        """The server's own /status. Raises ServerDied when nothing answers, ServerError for any other answer."""
        try:
            code, body = self._get("/status", timeout_s)
        except OSError as error:
            raise ServerDied(f"{self.url}/status: {error}", log_tail=self.log_tail()) from error
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if code != 200 or not isinstance(value, dict):
            hint = ": set STATUS_KEY" if code == 401 else ""
            raise ServerError(f"{self.url}/status answered {code}{hint}", log_tail=self.log_tail())
        return value

    def seats(self) -> int | None:
        """How many sessions it takes at once, as /health says; None where it does not say."""
        try:
            found = json.loads(self._get("/health")[1])
        except (OSError, ValueError):
            return None
        seats = found.get("seats") if isinstance(found, dict) else None
        total = seats.get("total") if isinstance(seats, dict) else None
        return total if type(total) is int and total > 0 else None

    def wait_until_compiled(self, timeout_s: float) -> dict[str, Any]:
        """Return its /status when no model is being compiled any more; at once where none ever was.

        A failed compile is no error: the status says so. Raises ServerDied, or ServerNotReady after `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            status = self.status(timeout_s=_BUSY_STATUS_S)
            facts = status.get("compile")
            if not isinstance(facts, dict) or facts.get("state") not in ("waiting", "compiling"):
                return status
            if time.monotonic() > deadline_s:
                ready = f"{facts.get('shapes_ready')} of {facts.get('shapes')} shapes were ready"
                raise ServerNotReady(
                    f"{self.name} was still compiling after {timeout_s:g} s: {ready}", log_tail=self.log_tail()
                )
            if self.supervised is not None and self.supervised.wait(_COMPILE_POLL_S):
                ended = _in_words(self.supervised.exit_code)
                raise ServerDied(f"{self.name} {ended} while it compiled", log_tail=self.log_tail())
            if self.supervised is None:
                time.sleep(_COMPILE_POLL_S)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its log; "" for an attached server."""
        return tail(self.log_path, lines) if self.log_path else ""

    def processes(self) -> list[psutil.Process]:
        """The server and all it started; [] when it runs on another machine or has ended."""
        if self.supervised is not None:
            return self.supervised.processes()
        try:
            own = psutil.Process(self.pid) if self.pid else None
            return [own, *own.children(recursive=True)] if own else []
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """End it with all it started and wait until its port is free. Leaves an attached server alone. Repeatable.

        Raises ServerError when the port stays taken.
        """
        if self.supervised is None:
            return
        self.supervised.stop()
        place = urllib.parse.urlsplit(self.url)
        deadline_s = time.monotonic() + _PORT_FREE_S
        while not probe.port_is_free(place.port or 0, place.hostname or ""):
            if time.monotonic() > deadline_s:
                raise ServerError(f"{self.name} has ended but port {place.port} is still in use")
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _get(self, path: str, timeout_s: float = 2.0) -> tuple[int, bytes]:
        headers = {"X-API-Key": self._status_key} if self._status_key and path == "/status" else {}
        return probe.fetch(self.url + path, headers=headers, timeout_s=timeout_s)


def launch(
    name: str,
    *,
    settings: Mapping[str, Any],
    log_path: Path,
    port: int = 0,
    ready_timeout_s: float = 60,
    cpus: Sequence[int] | None = None,
    secrets: Mapping[str, str] | None = None,
    checkout: Path = commands.CHECKOUT,
) -> Server:
    """Start a catalogue server and wait until it is ready; port 0 takes a free one.

    `secrets` are environment variables; `checkout` holds the `servers/` whose code runs. Nothing of the server outlives
    the calling process.
    Raises UsageError before anything is started; ServerDied, ServerNotReady or SettingsDiffer with the last log
    lines, and then nothing is left running.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        command = commands.of_server(name, settings=settings, port=port, secrets=secrets, checkout=checkout)
        try:
            return start(command, log_path=log_path, ready_timeout_s=ready_timeout_s, cpus=cpus)
        except ServerDied as died:
            if port or attempt == _ATTEMPTS or "already in use" not in died.log_tail:
                raise
    raise AssertionError("unreachable")


def start(
    command: Command, *, log_path: Path, ready_timeout_s: float = 60, cpus: Sequence[int] | None = None
) -> Server:
    """`launch` for a command that is already made."""
    lifeline.end_orphans()
    began_s = time.monotonic()
    server = spawn(command, log_path=log_path, cpus=cpus)
    try:
        server.wait_until_ready(ready_timeout_s)
        server.ready_s = time.monotonic() - began_s
        check(server, command)
    except BaseException:  # Ctrl-C too: nothing stays behind
        server.stop()
        raise
    return server


def spawn(
    command: Command,
    *,
    log_path: Path,
    cpus: Sequence[int] | None = None,
    detached: bool = False,
    grace_s: float = GRACE_S,
) -> Server:
    """Start the command and return at once; its output is appended to `log_path`, after the command itself.

    Raises UsageError off Linux, ServerDied when its guard cannot start.
    """
    require_linux()
    _check_cpus(cpus)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        log.write(f"$ {command.line}\n".encode())
        log.flush()
        try:
            supervised = lifeline.spawn(
                command.argv,
                log=log,
                environment=_unmarked(command.environment()) if detached else command.environment(),
                cpus=cpus,
                detached=detached,
                grace_s=grace_s,
            )
        except lifeline.NotSupervised as failure:
            raise ServerDied(str(failure)) from failure
    return Server(
        name=command.server,
        url=command.url,
        command=command.argv,
        command_line=command.line,
        log_path=log_path,
        pid=supervised.pid,
        status_key=command.environment().get("STATUS_KEY", ""),
        supervised=supervised,
    )


def _unmarked(environment: dict[str, str]) -> dict[str, str]:
    """A server that is to stay belongs to no run."""
    return {name: value for name, value in environment.items() if name != SLOT_MARK}


def require_linux() -> None:
    """Raises UsageError where no process can be supervised."""
    try:
        _require_linux()
    except StartupRefused as refusal:
        raise UsageError(str(refusal)) from refusal


def attach(url: str, *, status_key: str | None = None) -> Server:
    """A server that somebody else runs; `stop` leaves it alone. `status_key` (default: STATUS_KEY in the environment)
    opens its /status.

    Raises UsageError for a URL without http(s), ServerNotReady when it does not answer or is not ready.
    """
    place = urllib.parse.urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise UsageError(f"{url!r} is no http:// or https:// address")
    key = os.environ.get("STATUS_KEY", "") if status_key is None else status_key
    server = Server(name="", url=url, status_key=key)
    if not server.ready():
        raise ServerNotReady(f"{server.url}/ready does not answer 200")
    status = server.status()
    own = probe.is_loopback(place.hostname) and probe.listens(status.get("pid"), place.port)
    return Server(
        name=str(status.get("server", "")),
        url=url,
        pid=int(status["pid"]) if own else None,
        status_key=key,
    )


def check(server: Server, command: Command) -> None:
    """Raise unless it is our process that answers, with the settings that were asked for."""
    status = server.status()
    pid = status.get("pid")
    if pid is not None and pid not in {process.pid for process in server.processes()}:
        raise ServerNotReady(f"{server.url} is answered by another process, {pid}", log_tail=server.log_tail())
    obtained = status.get("settings") or {}
    differing = [
        f"{name}={obtained.get(name)!r} instead of {asked!r}"
        for name, asked in command.expected.items()
        if obtained.get(name) != asked
    ]
    if differing:
        raise SettingsDiffer(f"{server.name} runs with {', '.join(differing)}", log_tail=server.log_tail())


def _check_cpus(cpus: Sequence[int] | None) -> None:
    if cpus is None:
        return
    usable = os.sched_getaffinity(0)
    if not cpus or not set(cpus) <= usable:
        raise UsageError(f"cpus {sorted(cpus)}: this process may use {sorted(usable)}")


def _in_words(exit_code: int | None) -> str:
    if exit_code is not None and exit_code > 128:
        return f"was ended by {signal.Signals(exit_code - 128).name}"
    return f"ended with exit code {exit_code}"


def tail(path: Path, lines: int) -> str:
    """The last lines of a text file, of its last 64 KiB at most; "" when it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65536))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""
