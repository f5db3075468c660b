"""All routes around an engine: the WebSocket, and what the operator sees. Receives engine and utterances.

Imports no model runtime.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import APIRouter, FastAPI, WebSocket

from servers.common import app as common
from servers.common.interfaces import ModelIdentity
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.trace import Trace
from servers.voxtral.interfaces import Engine, Listener, Utterance
from servers.voxtral.session.room import Room, SupervisedEngine
from servers.voxtral.settings import Settings

PATH: Final = "/api/asr-streaming"
PACKAGES: Final = ("websockets", "uvloop")


class EngineLifecycle(Lifecycle):
    """Ready whenever the engine is, also after it was lost and brought back."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        super().__init__()

    @property
    def ready(self) -> bool:
        return self._engine.available

    @ready.setter
    def ready(self, value: bool) -> None:
        """Nobody else's to say; the class above begins with False."""


def create_app(
    settings: Settings,
    *,
    engine: SupervisedEngine,
    hear: Callable[[Listener], Utterance],
    identity: ModelIdentity,
    metrics: Metrics | None = None,
) -> FastAPI:
    """The gateway before `engine`, which is started with it and ends with it; `hear` begins an utterance.

    When the engine cannot be started at all, the server drains and `state.refusal` says why.
    """
    lifecycle, metrics = EngineLifecycle(engine), metrics or Metrics(settings.server)
    trace = Trace(settings.trace_path, server=settings.server)
    room = Room(
        settings, engine=engine, hear=hear, identity=identity, lifecycle=lifecycle, metrics=metrics, trace=trace
    )

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        try:
            async with room.open():
                yield
        finally:
            trace.close()
            app.state.refusal = room.refusal

    app = common.create_app(
        settings,
        routers=[_routes(room)],
        lifecycle=lifecycle,
        metrics=metrics,
        run=run,
        status=room.status,
        health=room.health,
        packages=PACKAGES,
        ready_after_startup=False,
    )
    return app


def _routes(room: Room) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.websocket(PATH)
    async def stream(websocket: WebSocket) -> None:
        # Also who is refused: browsers do not show why an upgrade failed.
        await websocket.accept()
        await room.serve(websocket)

    return router
