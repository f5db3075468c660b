"""Runs an app in this process: logging, socket, uvicorn, and the orderly end after SIGTERM."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

import uvicorn
from fastapi import FastAPI

from servers.common import garbage, logs, open_files
from servers.common.errors import StartupRefused
from servers.common.frames import BoundedWebSocket
from servers.common.heads import HeadLimits, bounded
from servers.common.lifecycle import Lifecycle
from servers.common.settings import BaseServerSettings, misspelt, table
from servers.common.threads import lower_switch_interval

_log = logging.getLogger("servers.serve")
SettingsT = TypeVar("SettingsT", bound=BaseServerSettings)
KEEP_ALIVE_S = 75
PONG_TIMEOUT_S = 20.0
UNTAKEN_S = 60.0
"""A client whose machine takes nothing for so long is given up by the system, unless a server says otherwise."""
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


def serve(
    settings: SettingsT,
    app_factory: Callable[[SettingsT], FastAPI],
    *,
    unacknowledged_s: float | None = None,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code: 0 after a clean end, 1 if it cannot start.

    The first signal drains: /ready answers 503, new work is refused with 503, what runs gets up to
    `drain_timeout_s`. A second signal ends at once.

    A WebSocket client that answers no ping for 20 s is closed; but where a server stops reading from a client that
    sends faster than it hears, the answer stands behind audio. With `unacknowledged_s` pings are sent and not
    waited for, and the system gives up a client whose machine acknowledges nothing, or takes nothing, for so long.

    A larger WebSocket message than `max_message_bytes` is refused with 1009 by the size that its head declares.
    """
    logs.configure(server=settings.server, level=settings.log_level, style=settings.log_format)
    for name, near in misspelt(type(settings), os.environ):
        _log.warning("environment variable %s is not read; did you mean %s?", name, near)
    try:
        listener = _bind(settings.host, settings.port)
    except OSError as error:
        return _refuse(settings, _bind_failure(settings, error))
    with listener:
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            untaken_s = UNTAKEN_S if unacknowledged_s is None else unacknowledged_s
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(untaken_s * 1000))
        if not has_key(settings) and not _is_loopback(settings.host):
            _log.warning("no key is set and %s is reachable from outside", settings.host)
        lower_switch_interval()
        open_files.allow(settings.connection_limit)
        try:
            app = app_factory(settings)
            waits_for_pongs = unacknowledged_s is None
            return _run(settings, app, listener, waits_for_pongs=waits_for_pongs, max_message_bytes=max_message_bytes)
        except StartupRefused as error:
            return _refuse(settings, str(error))
        except OSError as error:
            # Two processes may bind one port before either listens; the second learns it here.
            if error.errno != errno.EADDRINUSE:
                raise
            return _refuse(settings, _bind_failure(settings, error))


def has_key(settings: BaseServerSettings) -> bool:
    """Whether clients must present a key (STATUS_KEY guards only the operator's routes)."""
    names = [row.name for row in table(type(settings)) if row.secret and row.name.endswith(("_key", "_keys"))]
    return any(getattr(settings, name) for name in names if name != "status_key")


class _DrainingServer(uvicorn.Server):
    """uvicorn closes its socket on the first signal; this one goes on answering until what runs is done."""

    def __init__(
        self, config: uvicorn.Config, *, lifecycle: Lifecycle, settings: BaseServerSettings, port: int
    ) -> None:
        super().__init__(config)
        self._lifecycle, self._settings, self._port = lifecycle, settings, port
        self._said_draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._lifecycle.draining:
            self.should_exit = self.force_exit = True
        self._lifecycle.begin_drain()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not all(_is_listening(listener) for listener in sockets or ()):
            # uvloop says nothing when another process began to listen on the port in the meantime.
            await self.lifespan.shutdown()
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        garbage.settle()
        facts = {"host": self._settings.host, "port": self._port, "pid": os.getpid(), "model": self._settings.model}
        _log.info("listening", extra={"facts": facts})

    async def on_tick(self, counter: int) -> bool:
        if self._lifecycle.draining and not self._said_draining:
            self._said_draining = True
            _log.info("draining", extra={"facts": {"in_flight": self._lifecycle.in_flight}})
        drained = self._lifecycle.drained(timeout_s=self._settings.drain_timeout_s)
        return await super().on_tick(counter) or drained


def _run(
    settings: BaseServerSettings,
    app: FastAPI,
    listener: socket.socket,
    *,
    waits_for_pongs: bool,
    max_message_bytes: int,
) -> int:
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=bounded(HeadLimits(timeout_s=settings.head_timeout_s, connections=settings.connection_limit)),
        ws=BoundedWebSocket,
        ws_per_message_deflate=False,
        ws_max_size=max_message_bytes,
        ws_ping_timeout=PONG_TIMEOUT_S if waits_for_pongs else None,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    port = listener.getsockname()[1]
    server = _DrainingServer(config, lifecycle=app.state.lifecycle, settings=settings, port=port)
    try:
        server.run(sockets=[listener])
    except SystemExit:
        # uvicorn has logged the traceback; the last line says why.
        return _refuse(settings, app.state.refusal or "the server could not start")
    _log.info("stopped")
    return 0


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet: clients are refused, not kept waiting, until it does."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _is_listening(listener: socket.socket) -> bool:
    return listener.fileno() >= 0 and bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _bind_failure(settings: BaseServerSettings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {settings.port} on {settings.host} is already in use; choose another with --port"
    return f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"


def _refuse(settings: BaseServerSettings, reason: str) -> int:
    sys.stderr.write(f"python -m servers.{settings.server}: {reason}\n")
    return 1


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
