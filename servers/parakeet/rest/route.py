"""POST /transcribe: a file, or its bare bytes, and what it says."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from servers.common.auth import KeyCheck
from servers.common.hangup import unless_gone
from servers.common.trace import Trace
from servers.parakeet.desk import Desk
from servers.parakeet.files.transcription import FileTranscriber
from servers.parakeet.rest.intake import Intake
from servers.parakeet.rest.wording import describe
from servers.parakeet.settings import Settings
from servers.parakeet.uploads.receive import FILE, Incoming

FIELDS = (FILE, "include_timestamps", "should_chunk")


def create_router(settings: Settings, *, desk: Desk, keys: KeyCheck, trace: Trace) -> APIRouter:
    """Fields may stand in the form or in the URL, which a bare body has instead of one."""
    router = APIRouter()
    intake = Intake(settings, desk=desk, keys=keys, trace=trace)
    transcriber = FileTranscriber(settings, desk)

    @router.post("/transcribe")
    async def transcribe(request: Request) -> Response:
        return await intake.answer(request, work)

    async def work(incoming: Incoming) -> Response:
        with intake.seat(incoming):
            async with intake.upload(incoming, bare=True) as upload:
                upload.fields.check_names(FIELDS)
                timestamps = upload.fields.flag("include_timestamps", default=False)
                may_cut = upload.fields.flag("should_chunk", default=True)
                recording = await intake.decode(incoming, upload, whole=not may_cut)
            transcript = await unless_gone(incoming.request, transcriber.transcribe(recording))
            return JSONResponse(describe(transcript, timestamps=timestamps))

    return router
