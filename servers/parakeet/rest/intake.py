"""From a request to its audio: key, seat, upload, decoding; and what becomes of it when the client hangs up."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from servers.common.auth import KeyCheck
from servers.common.errors import ServerFault
from servers.common.hangup import unless_gone
from servers.common.trace import Trace
from servers.parakeet.decoding.decoder import Decoder, Limit
from servers.parakeet.desk import Desk
from servers.parakeet.files.transcription import Recording
from servers.parakeet.settings import Settings
from servers.parakeet.uploads.receive import Incoming, Upload, receive
from servers.parakeet.uploads.refusal import Refusal


class Intake:
    """One for each route."""

    def __init__(self, settings: Settings, *, desk: Desk, keys: KeyCheck, trace: Trace) -> None:
        self._settings, self._desk, self._keys, self._trace = settings, desk, keys, trace
        self._decoder = Decoder()

    async def answer(self, request: Request, work: Callable[[Incoming], Awaitable[Response]]) -> Response:
        """What `work` makes of the request. A fault while the body still comes is answered here, as the client must
        be let finish; a later one is left to the edge."""
        incoming = Incoming(request)
        try:
            response = await work(incoming)
        except ServerFault as fault:
            if incoming.ended:
                raise
            return Refusal(fault, incoming)
        if self._trace.enabled:
            response.background = BackgroundTask(self._note_sent, request.state.request_id)
        return response

    @contextmanager
    def seat(self, incoming: Incoming) -> Iterator[None]:
        """Held while a request is received and transcribed; raises Unauthorized, Draining or Overloaded."""
        self._keys.check(incoming.request)
        self._desk.check_open()
        with self._desk.uploads.seat():
            yield

    @asynccontextmanager
    async def upload(self, incoming: Incoming, *, bare: bool) -> AsyncIterator[Upload]:
        """All of the body, within the settings' limits; raises as `upload.receive`."""
        limit_bytes, timeout_s = self._settings.max_upload_bytes, self._settings.upload_timeout_s
        async with receive(incoming, limit_bytes=limit_bytes, timeout_s=timeout_s, bare=bare) as upload:
            yield upload

    async def decode(self, incoming: Incoming, upload: Upload, *, whole: bool = False) -> Recording:
        """The audio of an upload; raises as `Decoder.decode`. `whole`: it must fit the model uncut."""
        received_s = time.monotonic()
        limit = Limit(self._settings.max_file_s, "MAX_FILE_DURATION")
        if whole and self._settings.max_audio_s < limit.seconds:
            limit = Limit(self._settings.max_audio_s, "MAX_AUDIO_DURATION, as should_chunk is false")
        work = self._decoder.decode(upload.file, in_memory=upload.in_memory, limit=limit)
        audio = await unless_gone(incoming.request, work)
        return Recording(audio, incoming.request.state.request_id, received_s)

    async def _note_sent(self, request_id: str) -> None:
        """A coroutine: starlette would give a plain function to a thread."""
        self._trace.note("sent", request_id=request_id)
