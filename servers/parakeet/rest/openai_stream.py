"""A transcription as server-sent events: transcript.text.delta for each part, then transcript.text.done."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from servers.common.errors import ServerFault
from servers.parakeet.rest.wording import usage
from servers.parakeet.transcript import Transcript

_log = logging.getLogger("servers.parakeet")


class EventStream(StreamingResponse):
    """`held` (the seat, the pieces under way) is closed when the stream ends, also where the client hangs up."""

    def __init__(
        self,
        first: Transcript,
        rest: AsyncIterator[Transcript],
        *,
        duration_s: float,
        held: AsyncExitStack,
        headers: Mapping[str, str],
    ) -> None:
        events = _tell(first, rest, duration_s=duration_s)
        super().__init__(events, media_type="text/event-stream", headers={"cache-control": "no-store", **headers})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


async def _tell(first: Transcript, rest: AsyncIterator[Transcript], *, duration_s: float) -> AsyncIterator[str]:
    said = first.text
    if said:
        yield _event({"type": "transcript.text.delta", "delta": said})
    try:
        async for part in rest:
            if part.text:
                delta = f" {part.text}" if said else part.text
                said += delta
                yield _event({"type": "transcript.text.delta", "delta": delta})
    except ServerFault as fault:
        # The status is sent: the client learns it from the event. OpenAI's raises on a field "error".
        _log.warning("failed after the answer began: %s", fault.message, extra={"facts": {"code": fault.code}})
        yield _event({"type": "error", **fault.body()})
        return
    yield _event({"type": "transcript.text.done", "text": said, "usage": usage(duration_s)})


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"
