"""The routes of `echo`: POST /raw as smart_turn has it, POST /transcribe, a streaming WebSocket for each wire."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from servers.common import app as common
from servers.common.auth import KeyCheck
from servers.common.errors import Overloaded
from servers.common.limits import Admission, read_body
from servers.echo.protocol import SCRIPTED_ERROR, check_npy, read_form
from servers.echo.script import read_script
from servers.echo.settings import Settings
from servers.echo.stage import Plan, Stage
from servers.echo.stream import Stream, send
from servers.echo.wires import WIRES, Wire


def create_app(settings: Settings) -> FastAPI:
    """The app; raises StartupRefused when the script cannot be read."""
    stage = Stage(settings)

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        stage.open()
        try:
            yield
        finally:
            stage.close()

    def status() -> dict[str, Any]:
        rate = stage.queue.capacity_per_s
        return {
            "model": {"model_id": "echo", "revision": "", "sha256": ""},
            "queue_depth": stage.queue.depth(time.monotonic()),
            "capacity_per_s": rate if rate < float("inf") else None,
            "trace_dropped": stage.trace.dropped,
        }

    return common.create_app(settings, routers=[_create_router(settings, stage)], run=run, status=status)


def _create_router(settings: Settings, stage: Stage) -> APIRouter:
    router = APIRouter()
    keys = KeyCheck(settings.auth_key)
    script = read_script(settings.script)

    @router.post("/raw")
    async def raw(request: Request) -> Response:
        probability = settings.probability
        prediction = int(probability > settings.threshold)

        def decide(body: bytes) -> dict[str, Any]:
            check_npy(body)
            return {"prediction": prediction, "probability": probability}

        return await answer(request, decide)

    @router.post("/transcribe")
    async def transcribe(request: Request) -> Response:
        return await answer(request, lambda body: {"text": script.recognise(read_form(body)).final})

    async def answer(request: Request, read: Callable[[bytes], dict[str, Any]]) -> Response:
        received_s = time.monotonic()
        request_id: str = request.state.request_id
        keys.check(request)
        stage.enter()
        content = read(await read_body(request, limit_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s))
        stage.trace.note("received", request_id=request_id, at_s=received_s)
        plan = stage.plan_answer()
        if "text" in content:
            content["text"] = stage.text_of(plan, request_id, content["text"])
        await stage.wait(plan, request_id=request_id, kind="answer")
        stage.trace.note("step_start", request_id=request_id, at_s=plan.turn.started_s, batch_size=1)
        stage.trace.note("step_end", request_id=request_id, at_s=plan.turn.finished_s, batch_size=1)
        response = await _answer(request, plan, settings, received_s, content)
        stage.trace.note("sent", request_id=request_id)
        return response

    seats = Admission(limit=settings.seats or sys.maxsize, what="sessions")

    def add(path: str, wire: Wire) -> None:
        @router.websocket(path)
        async def stream(websocket: WebSocket) -> None:
            keys.check(websocket)
            stage.enter()
            with contextlib.ExitStack() as held:
                try:
                    held.enter_context(seats.seat())
                except Overloaded as refusal:
                    await _refuse(websocket, wire, settings, refusal)
                    return
                await websocket.accept()
                await Stream(websocket, wire=wire, stage=stage, script=script, settings=settings).run()

    for path, wire in WIRES.items():
        add(path, wire)
    return router


async def _refuse(websocket: WebSocket, wire: Wire, settings: Settings, refusal: Overloaded) -> None:
    """A session too many, in the way that the settings ask for."""
    if settings.refusal == "http":
        raise refusal  # the edge answers 503
    await websocket.accept()
    if settings.refusal == "close":
        await websocket.close(settings.refusal_code, refusal.message)
        return
    await send(websocket, wire.write({"type": "error", **refusal.body()}))
    await websocket.close(1000)


async def _answer(
    request: Request, plan: Plan, settings: Settings, received_s: float, content: dict[str, Any]
) -> Response:
    match plan.fault:
        case "error":
            return JSONResponse(SCRIPTED_ERROR, status_code=settings.error_status)
        case "garbage":
            return Response(b'{"predic', media_type="application/json")
        case "drop":
            return _HalfAnswer()
        case "never_final" | "half_close":
            await _wait_for_disconnect(request)
            raise ClientDisconnect
        case None | "wrong" | "crosstalk":
            metrics = {
                "inference_time": plan.turn.finished_s - plan.turn.started_s,
                "total_time": time.monotonic() - received_s,
                "queue_time": plan.turn.queue_s,
                "batch_size": 1,
            }
            headers = {"X-Request-ID": "another-session"} if plan.fault == "wrong" else None
            return JSONResponse({**content, "metrics": metrics}, headers=headers)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _HalfAnswer(Response):
    """Announces more bytes than it sends; the HTTP server then cuts the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"64")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"predic', "more_body": True})
