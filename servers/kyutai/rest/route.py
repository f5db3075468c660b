"""POST on the stream's path takes a whole file; GET /api/modules_info and /api/build_info are as moshi-server's."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from servers.common.auth import KeyCheck
from servers.common.hangup import unless_gone
from servers.common.limits import Admission
from servers.common.ops import versions_of
from servers.kyutai.config_toml import PATH
from servers.kyutai.rest.transcription import FileTranscriber
from servers.kyutai.rest.upload import receive
from servers.kyutai.room import Room
from servers.kyutai.settings import Settings

FILES_BEYOND_SEATS: Final = 16
"""So many files may wait for a seat; one more is refused at once."""


def create_router(settings: Settings, *, room: Room, keys: KeyCheck, packages: tuple[str, ...]) -> APIRouter:
    """The HTTP routes that are this server's own. `packages` are those that /api/build_info names."""
    router = APIRouter()
    transcriber = FileTranscriber(settings, room)
    admission = Admission(limit=settings.seats + FILES_BEYOND_SEATS, what="files")
    limit_bytes = round(settings.max_upload_mb * 1e6)

    @router.post(PATH)
    async def transcribe(request: Request) -> JSONResponse:
        keys.check(request)
        room.check_open()
        with admission.seat():
            async with receive(request, limit_bytes=limit_bytes, stall_s=settings.upload_stall_s) as file:
                rows = await unless_gone(request, transcriber.transcribe(file))
        return JSONResponse(rows)

    @router.get("/api/modules_info")
    async def modules_info() -> list[dict[str, str]]:
        return [_describe(room)]

    @router.get("/api/build_info")
    async def build_info() -> dict[str, Any]:
        return {"server": settings.server, "versions": versions_of(packages)}

    return router


def _describe(room: Room) -> dict[str, str]:
    """All values are strings, as moshi-server's. `extra_heads` is ours: without any, `prs` is empty in every Step."""
    model = room.identity.model_id
    return {
        "type": "batched_asr",
        "path": PATH,
        "lm": model,
        "audio_tokenizer": model,
        "used_slots": str(room.used),
        "total_slots": str(room.pool.seats),
        "extra_heads": str(room.listener.pause_heads),
    }
