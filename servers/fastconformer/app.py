"""The WebSocket at `/` and what the operator sees of it. Receives its model; imports no model runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, WebSocket

from servers.common import app as common
from servers.common.auth import KeyCheck
from servers.common.interfaces import ModelIdentity, StreamingRecognizer
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.trace import Trace
from servers.fastconformer.heard import Heard
from servers.fastconformer.room import Room
from servers.fastconformer.session import serve_connection
from servers.fastconformer.settings import Settings

PACKAGES = ("nemo_toolkit", "soxr", "torch", "websockets")


def create_app(
    settings: Settings,
    *,
    build: Callable[[], StreamingRecognizer[Heard]],
    identity: ModelIdentity,
) -> FastAPI:
    """The server around a model. `build` is called once, in the model's thread, and returns when it is warm."""
    lifecycle, metrics = Lifecycle(), Metrics(settings.server)
    trace = Trace(settings.trace_path, server=settings.server)
    room = Room(settings, build=build, identity=identity, lifecycle=lifecycle, metrics=metrics)

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        try:
            await room.open()
            yield
            await room.close()
        finally:
            trace.close()

    router, keys = APIRouter(), KeyCheck(settings.api_key)

    @router.websocket("/")
    async def stream(websocket: WebSocket) -> None:
        keys.check(websocket)
        room.check_open()
        await websocket.accept()
        await serve_connection(websocket, room=room, settings=settings, trace=trace)

    return common.create_app(
        settings,
        routers=[router],
        lifecycle=lifecycle,
        metrics=metrics,
        run=run,
        status=room.status,
        healthy=lambda: room.healthy,
        health=room.health,
        packages=PACKAGES,
    )
