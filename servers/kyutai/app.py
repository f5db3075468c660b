"""All routes around a model: WebSockets in both encodings, files, and what the operator sees.

Receives its model; imports no model runtime.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, WebSocket

from servers.common import app as common
from servers.common.auth import KeyCheck
from servers.common.interfaces import ModelIdentity
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.trace import Trace
from servers.kyutai.config_toml import PATH
from servers.kyutai.interfaces import Listener
from servers.kyutai.live.connection import Door
from servers.kyutai.rest import route
from servers.kyutai.room import Room
from servers.kyutai.settings import Settings

KEY_HEADER = "kyutai-api-key"
KEY_QUERY = "auth_id"
PACKAGES = ("msgpack", "soundfile", "soxr", "sphn", "torch", "transformers", "websockets")


def create_app(settings: Settings, *, build: Callable[[], Listener], identity: ModelIdentity) -> FastAPI:
    """The server around a model. `build` is called once, in the model's thread, and returns when it is warm."""
    lifecycle, metrics = Lifecycle(), Metrics(settings.server)
    trace = Trace(settings.trace_path, server=settings.server)
    room = Room(settings, build=build, identity=identity, lifecycle=lifecycle, metrics=metrics)
    keys = KeyCheck(settings.api_keys, schemes=(), headers=(KEY_HEADER,), query=KEY_QUERY)

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        try:
            await room.open()
            yield
            await room.close()
        finally:
            trace.close()

    return common.create_app(
        settings,
        routers=[
            _sockets(room, keys, Door(room=room, settings=settings, trace=trace)),
            route.create_router(settings, room=room, keys=keys, packages=PACKAGES),
        ],
        lifecycle=lifecycle,
        metrics=metrics,
        run=run,
        status=room.status,
        healthy=lambda: room.healthy,
        health=room.health,
        packages=PACKAGES,
    )


def _sockets(room: Room, keys: KeyCheck, door: Door) -> APIRouter:
    router = APIRouter()

    @router.websocket(PATH)
    async def native(websocket: WebSocket) -> None:
        keys.check(websocket)
        room.check_open()
        await websocket.accept()
        await door.serve_native(websocket)

    @router.websocket("/")
    async def either(websocket: WebSocket) -> None:
        keys.check(websocket)
        room.check_open()
        await websocket.accept()
        await door.serve_either(websocket)

    return router
