"""All sessions of the server: who is let in, the watchdog's tick, and what happens to them when the engine goes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Protocol

from starlette.websockets import WebSocket

from servers.common.auth import KeyCheck
from servers.common.errors import StartupRefused, Unauthorized
from servers.common.interfaces import ModelIdentity
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.trace import Trace
from servers.voxtral.faults import CloseCode, WireFault, engine_unavailable
from servers.voxtral.interfaces import Engine, Listener, Utterance
from servers.voxtral.session.connection import Session
from servers.voxtral.session.meters import Meters
from servers.voxtral.session.refusal import refuse
from servers.voxtral.settings import Settings

_log = logging.getLogger("servers.voxtral")


class SupervisedEngine(Engine, Protocol):
    """An engine that comes and goes; on the event loop."""

    on_gone: Callable[[], None]
    """Called at once when it is available no more."""

    async def start(self) -> None:
        """Until it has answered its smoke utterance. Raises StartupRefused."""
        ...

    async def stop(self) -> None:
        """Nothing of it is left; at any time, never raises."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """For /status: `state`, and what it knows of itself."""
        ...


class Room:
    """One per app; `open` before anything else."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: SupervisedEngine,
        hear: Callable[[Listener], Utterance],
        identity: ModelIdentity,
        lifecycle: Lifecycle,
        metrics: Metrics,
        trace: Trace,
    ) -> None:
        self.settings, self.hear, self.trace = settings, hear, trace
        self.refusal = ""
        """Why the engine cannot be started at all; the server drains then."""
        self.meters = Meters(metrics)
        self._engine, self._identity, self._lifecycle = engine, identity, lifecycle
        self._keys = KeyCheck(settings.api_key, schemes=("Bearer",))
        self._sessions: set[Session] = set()
        engine.on_gone = self._send_away
        metrics.gauge("sessions", "Sessions now", read=lambda: self.used)
        metrics.gauge("seats", "Sessions at most", read=lambda: settings.max_connections)
        metrics.gauge("engine_available", "1 while the engine answers", read=lambda: engine.available)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The engine is started, and ends with this. Nobody waits for it: who comes earlier is told so."""
        tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._start())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._engine.stop()

    @property
    def used(self) -> int:
        """Seats that are taken."""
        return len(self._sessions)

    async def serve(self, websocket: WebSocket) -> None:
        """An accepted connection, from its first message to its end."""
        try:
            self._check(websocket)
        except WireFault as fault:
            self.meters.count_refused(fault)
            self.meters.count_error(fault)
            await refuse(websocket, fault)
            return
        session = Session(websocket, self)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)

    def health(self) -> Mapping[str, Any]:
        """What /health adds."""
        total = self.settings.max_connections
        return {"seats": {"total": total, "used": self.used, "free": total - self.used}}

    def status(self) -> Mapping[str, Any]:
        """What /status adds."""
        engine = dict(self._engine.facts())
        return {
            "device": engine.get("device", "unknown"),
            "dtype": engine.get("dtype", self.settings.vllm_dtype),
            "model": asdict(self._identity),
            "served_model_name": self.settings.client_model,
            "transcription_delay_ms": self.settings.transcription_delay_ms,
            **self.health(),
            "engine": {"available": self._engine.available, **engine},
            "empty_delta_ratio": round(self.meters.empty_ratio, 4),
        }

    def _check(self, websocket: WebSocket) -> None:
        """Raises WireFault where a connection becomes no session."""
        try:
            self._keys.check(websocket)
        except Unauthorized as fault:
            raise WireFault(
                "authentication_failed", "invalid_key", fault.message, closes=CloseCode.UNAUTHORIZED
            ) from fault
        if not self._engine.available:
            raise engine_unavailable()
        if self.used >= self.settings.max_connections:
            raise WireFault(
                "server_at_capacity",
                "too_many_sessions",
                f"all {self.settings.max_connections} seats are taken; try again later",
                closes=CloseCode.AT_CAPACITY,
                limit=self.settings.max_connections,
            )

    async def _start(self) -> None:
        try:
            await self._engine.start()
        except StartupRefused as refusal:
            self.refusal = str(refusal)
        except Exception:
            # Nobody waits for this task, and without an engine the server is of no use.
            _log.exception("unforeseen error at the engine's start")
            self.refusal = "the engine could not be started"
        if self.refusal:
            self._lifecycle.begin_drain()

    def _send_away(self) -> None:
        """All sessions at once: what they wait for is not coming."""
        _log.warning("the engine is gone", extra={"facts": {"sessions": self.used}})
        for session in tuple(self._sessions):
            session.break_off(engine_unavailable("the speech engine was lost; try again later"))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.settings.watchdog_tick_s)
            self._look(time.monotonic())

    def _look(self, at_s: float) -> None:
        for session in tuple(self._sessions):
            try:
                session.look(at_s)
            except Exception:
                # One session's: the watchdog goes on for the others.
                _log.exception("unforeseen error in the watchdog")
