"""A whole file through a stream of its own: it waits for a seat, then for the model, and sends no faster than that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing
from typing import IO, Any, Final

from servers.common.errors import BadInput, Overloaded, ServerFault
from servers.common.interfaces import Audio
from servers.kyutai.events import EndWord, Event, Failed, Word
from servers.kyutai.events import Final as FinalText
from servers.kyutai.rest.audio_file import read_audio
from servers.kyutai.room import Room
from servers.kyutai.settings import Settings
from servers.kyutai.stream import Stream

LOOK_S: Final = 0.05
"""Between two looks for a free seat."""


class FileTranscriber:
    """One per app: who came first gets the next seat."""

    def __init__(self, settings: Settings, room: Room) -> None:
        self._settings, self._room = settings, room
        self._turn = asyncio.Lock()

    async def transcribe(self, file: IO[bytes]) -> list[dict[str, Any]]:
        """Its Word and EndWord rows, as moshi-server answers a POST.

        Raises what reading the file raises, Overloaded (no seat within post_wait_s), Draining, NotReady and
        InferenceFailed.
        """
        with closing(read_audio(file, limit_s=self._settings.max_file_s)) as blocks:
            block = await _next(blocks)
            if block is None:
                raise BadInput("the file holds no audio", field="body", limit="at least one sample")
            hearing = _Hearing()
            stream = await self._open(hearing)
            return await self._hear(stream, hearing, block, blocks)

    async def _hear(
        self, stream: Stream, hearing: _Hearing, block: Audio | None, blocks: Iterator[Audio]
    ) -> list[dict[str, Any]]:
        try:
            while block is not None and not hearing.is_over:
                stream.push(block, at_s=time.monotonic())
                await stream.wait_for_room()
                block = await _next(blocks)
            stream.flush(at_s=time.monotonic())
            return await hearing.rows()
        finally:
            stream.leave()

    async def _open(self, hearing: _Hearing) -> Stream:
        try:
            async with asyncio.timeout(self._settings.post_wait_s), self._turn:
                while True:
                    try:
                        return Stream(self._room, hearing.tell)
                    except Overloaded as refusal:
                        if type(refusal) is not Overloaded:
                            raise
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise Overloaded(f"no free channels within {self._settings.post_wait_s:g} s", field="streams") from None


async def _next(blocks: Iterator[Audio]) -> Audio | None:
    """Decoded in a thread; when cancelled, it returns once the thread has let go of the file."""
    work = asyncio.ensure_future(asyncio.to_thread(next, blocks, None))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # seen: nobody else will ask
        raise


class _Hearing:
    """Takes a stream's events."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._fault: ServerFault | None = None
        self._end = asyncio.Event()

    @property
    def is_over(self) -> bool:
        return self._end.is_set()

    async def rows(self) -> list[dict[str, Any]]:
        """Once all has been told; raises what the stream failed with."""
        await self._end.wait()
        if self._fault is not None:
            raise self._fault
        return self._rows

    def tell(self, event: Event) -> None:
        match event:
            case Word(text, start_s):
                self._rows.append({"type": "Word", "text": text, "start_time": start_s})
            case EndWord(stop_s):
                self._rows.append({"type": "EndWord", "stop_time": stop_s})
            case FinalText():
                self._end.set()
            case Failed(fault):
                self._fault = fault
                self._end.set()
            case _:
                pass
