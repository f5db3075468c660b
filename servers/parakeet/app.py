"""All routes around a model: REST, OpenAI's, WebSocket and the page. Receives its model; imports no model runtime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, WebSocket

from servers.common import app as common
from servers.common.auth import KeyCheck
from servers.common.interfaces import ModelIdentity
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.settings import effective
from servers.common.trace import Trace
from servers.parakeet import page
from servers.parakeet.desk import Desk
from servers.parakeet.interfaces import SpeechDetector, Transcriber
from servers.parakeet.live.session import serve_connection
from servers.parakeet.rest import openai_route, route
from servers.parakeet.settings import Settings

PACKAGES = ("av", "nemo_toolkit", "onnxruntime", "silero-vad", "soundfile", "soxr", "torch", "websockets")


def create_app(
    settings: Settings,
    *,
    build: Callable[[], Transcriber],
    build_detector: Callable[[], SpeechDetector],
    identity: ModelIdentity,
) -> FastAPI:
    """The server around a model. Each `build` is called once, in a thread of its own, and returns when it is warm."""
    lifecycle, metrics = Lifecycle(), Metrics(settings.server)
    trace = Trace(settings.trace_path, server=settings.server)
    desk = Desk(
        settings,
        build=build,
        build_detector=build_detector,
        identity=identity,
        lifecycle=lifecycle,
        metrics=metrics,
        trace=trace,
    )

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        try:
            await desk.open()
            yield
            await desk.close()
        finally:
            trace.close()

    keys = KeyCheck(settings.api_key)
    return common.create_app(
        settings,
        routers=[
            _small_routes(settings, desk, keys, trace),
            route.create_router(settings, desk=desk, keys=keys, trace=trace),
            openai_route.create_router(settings, desk=desk, keys=keys, trace=trace),
            page.create_router(settings),
        ],
        lifecycle=lifecycle,
        metrics=metrics,
        run=run,
        status=desk.status,
        healthy=lambda: desk.healthy,
        health=desk.health,
        packages=PACKAGES,
    )


def _small_routes(settings: Settings, desk: Desk, keys: KeyCheck, trace: Trace) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/config")
    async def config(request: Request) -> dict[str, Any]:
        keys.check(request)
        return effective(settings)

    @router.websocket("/ws")
    async def stream(websocket: WebSocket) -> None:
        keys.check(websocket)
        desk.check_open()
        await websocket.accept()
        await serve_connection(websocket, settings=settings, desk=desk, trace=trace)

    return router
