"""A connection that has a stream: what it asks for is done, what happens is told, until one of many ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.websockets import WebSocket

from servers.common.errors import IdleTimeout, ServerFault
from servers.common.patience import Patience
from servers.common.slots import Step
from servers.common.trace import Trace
from servers.kyutai.events import Failed
from servers.kyutai.interfaces import Heard
from servers.kyutai.live.codec import Begin, Codec, Flush, Mark, Request, Sound, Wire
from servers.kyutai.live.speaker import Speaker
from servers.kyutai.room import Room
from servers.kyutai.settings import Settings
from servers.kyutai.stream import Stream

YIELD_EVERY: Final = 16
"""Frames that lie ready are taken without a pause; after so many the others get their turn."""


def frame_of(message: Mapping[str, Any]) -> Wire:
    """What a `websocket.receive` brought."""
    text = message.get("text")
    frame = message.get("bytes") if text is None else text
    assert isinstance(frame, str | bytes)
    return frame


class Session:
    """One task listens and one speaks, so that a client that reads slowly is still heard."""

    def __init__(self, websocket: WebSocket, codec: Codec, *, room: Room, settings: Settings, trace: Trace) -> None:
        """Takes the seat; raises Overloaded, Draining or NotReady."""
        self._websocket, self._codec, self._trace = websocket, codec, trace
        self._request_id: str = websocket.state.request_id
        self._speaker = Speaker(
            websocket, codec, patience_s=settings.idle_timeout_s, on_sent=lambda: self._note("sent", None)
        )
        self._stream = Stream(
            room,
            self._speaker.tell,
            marker_patience_s=settings.marker_patience_ms / 1000,
            on_step=self._note_step,
        )
        self._idle_timeout_s = settings.idle_timeout_s
        self._idle = Patience(settings.idle_timeout_s, self._give_up)
        self._is_closing = False

    async def run(self, first: Request | None = None) -> None:
        """Until the stream's end is told, or the client is gone. `first` is what it asked for before it had a stream:
        a Begin has been answered by that."""
        tasks = [asyncio.create_task(self._listen(first)), asyncio.create_task(self._speaker.run())]
        self._idle.touch()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._stream.leave()
            self._idle.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, first: Request | None) -> None:
        """Returns when the connection is gone; what comes after the end is ignored."""
        try:
            if first is not None and not isinstance(first, Begin):
                await self._do(first)
        except ServerFault as fault:
            self._end(fault)
        number = 0
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            number += 1
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if self._is_closing:
                continue
            self._idle.touch()
            try:
                request = self._codec.read(frame_of(message))
                if request is not None:
                    await self._do(request)
            except ServerFault as fault:
                self._end(fault)

    async def _do(self, request: Request) -> None:
        at_s = time.monotonic()
        match request:
            case Sound():
                await self._hear(request, at_s)
            case Mark(id):
                self._stream.mark(id)
                await self._wait_for_room()
            case Flush():
                self._is_closing = True
                self._idle.stop()
                self._stream.flush(at_s=at_s)
            case Begin():
                self._stream.restart()
                await self._wait_for_room()

    async def _hear(self, sound: Sound, at_s: float) -> None:
        for number, samples in enumerate(sound.slices()):
            if number:
                await asyncio.sleep(0)  # others first: this message is long
            self._stream.push(samples, at_s=at_s)
            await self._wait_for_room()
            if self._is_closing:
                return

    async def _wait_for_room(self) -> None:
        """Meanwhile nothing is read from the client, so it is not idle."""
        if self._stream.is_full or self._speaker.is_full:
            self._idle.hold()
            await self._stream.wait_for_room()
            await self._speaker.wait_for_room()
            self._idle.resume()

    def _give_up(self) -> None:
        if self._stream.is_behind:
            self._idle.touch()  # the client may well be waiting for us
        else:
            self._end(IdleTimeout("nothing came from the client", limit=f"{self._idle_timeout_s:g} s"))

    def _end(self, fault: ServerFault) -> None:
        """The stream ends here, with no more words; its seat is free at once."""
        if not self._is_closing:
            self._is_closing = True
            self._idle.stop()
            self._stream.leave()
            self._speaker.tell(Failed(fault))

    def _note_step(self, step: Step[Heard]) -> None:
        if self._trace.enabled:
            self._note("received", step.received_s)
            self._note("queued", step.queued_s)
            self._note("step_start", step.started_s, batch_size=step.batch_size, slot=step.slot)
            self._note("step_end", step.ended_s, batch_size=step.batch_size, slot=step.slot)

    def _note(self, event: str, at_s: float | None, **facts: object) -> None:
        self._trace.note(event, request_id=self._request_id, at_s=at_s, **facts)
