"""POST /v1/audio/transcriptions and GET /v1/models, so that OpenAI's own client works against this server.

Errors keep the shape of all servers, {"error": {code, message, field, limit}}: the client's exceptions show it whole.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from servers.common.auth import KeyCheck
from servers.common.hangup import unless_gone
from servers.common.trace import Trace
from servers.parakeet.desk import Desk
from servers.parakeet.files.transcription import FileTranscriber, Recording
from servers.parakeet.rest import subtitles
from servers.parakeet.rest.intake import Intake
from servers.parakeet.rest.openai_fields import Options, read_options
from servers.parakeet.rest.openai_stream import EventStream
from servers.parakeet.rest.wording import describe_verbosely, usage
from servers.parakeet.settings import Settings
from servers.parakeet.transcript import Transcript
from servers.parakeet.uploads.receive import Incoming


def create_router(settings: Settings, *, desk: Desk, keys: KeyCheck, trace: Trace) -> APIRouter:
    """Both routes, behind the server's own key."""
    router = APIRouter()
    intake = Intake(settings, desk=desk, keys=keys, trace=trace)
    transcriber = FileTranscriber(settings, desk)
    served = _describe_model(settings)

    @router.post("/v1/audio/transcriptions")
    async def transcribe(request: Request) -> Response:
        return await intake.answer(request, work)

    async def work(incoming: Incoming) -> Response:
        async with AsyncExitStack() as held:
            held.enter_context(intake.seat(incoming))
            async with intake.upload(incoming, bare=False) as upload:
                options = read_options(upload.fields)
                recording = await intake.decode(incoming, upload)
            if options.stream:
                return await stream(incoming, recording, held, options)
            transcript = await unless_gone(incoming.request, transcriber.transcribe(recording))
            return _write(transcript, options, duration_s=recording.seconds)

    async def stream(incoming: Incoming, recording: Recording, held: AsyncExitStack, options: Options) -> Response:
        # The first part decides the status: a full queue is a 503, not a stream that begins with an error.
        parts = transcriber.parts(recording)
        held.push_async_callback(parts.aclose)
        first = await unless_gone(incoming.request, anext(parts))
        headers = _headers(options)
        return EventStream(first, parts, duration_s=recording.seconds, held=held.pop_all(), headers=headers)

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        keys.check(request)
        return {"object": "list", "data": [served]}

    @router.get("/v1/models/{name:path}")
    async def model(request: Request, name: str) -> dict[str, Any]:
        keys.check(request)
        if name != served["id"]:
            raise HTTPException(404, f"the model served here is {served['id']}")
        return served

    return router


def _write(transcript: Transcript, options: Options, *, duration_s: float) -> Response:
    headers = _headers(options)
    if options.format == "text":
        return PlainTextResponse(transcript.text + "\n", headers=headers)
    if options.format == "srt":
        return PlainTextResponse(subtitles.srt(transcript), media_type="application/x-subrip", headers=headers)
    if options.format == "vtt":
        return PlainTextResponse(subtitles.vtt(transcript), media_type="text/vtt", headers=headers)
    if options.format == "json":
        return JSONResponse({"text": transcript.text, "usage": usage(duration_s)}, headers=headers)
    content = describe_verbosely(
        transcript,
        duration_s=duration_s,
        words=options.words,
        segments=options.segments,
        temperature=options.temperature,
    )
    return JSONResponse(content, headers=headers)


def _headers(options: Options) -> dict[str, str]:
    return {"X-Without-Effect": ", ".join(options.without_effect)} if options.without_effect else {}


def _describe_model(settings: Settings) -> dict[str, Any]:
    """OpenAI's Model; it is `created` when this server began to serve it."""
    owner = settings.model.partition("/")[0] if settings.hub_id else "local"
    return {"id": settings.model, "object": "model", "created": int(time.time()), "owned_by": owner}
