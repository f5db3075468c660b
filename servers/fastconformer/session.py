"""One connection: `init`, then audio and operations in, texts out, and every way in which it can end."""

from __future__ import annotations

import asyncio
import contextlib
import time

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.edge import accept_request_id
from servers.common.errors import BadInput, IdleTimeout, InferenceFailed, ServerFault
from servers.common.logs import SESSION_ID
from servers.common.patience import Patience
from servers.common.slots import Slot, Step
from servers.common.sockets import close, send
from servers.common.trace import Trace
from servers.fastconformer.heard import Heard, Transcript
from servers.fastconformer.intake import Intake
from servers.fastconformer.protocol import (
    Init,
    Sid,
    read_init,
    read_operation,
    write_error,
)
from servers.fastconformer.room import Room
from servers.fastconformer.settings import Settings
from servers.fastconformer.speaker import Speaker


async def serve_connection(websocket: WebSocket, *, room: Room, settings: Settings, trace: Trace) -> None:
    """An accepted connection, from its first message to its end."""
    sid: Sid = websocket.state.request_id
    try:
        init = await _read_init(websocket, settings.idle_timeout_s)
        if init is None:
            return
        sid = sid if init.sid is None else init.sid
        SESSION_ID.set(accept_request_id(str(sid)))
        session = Session(websocket, init, sid, room=room, settings=settings, trace=trace)
    except ServerFault as fault:
        with contextlib.suppress(WebSocketDisconnect):
            await send(websocket, write_error(sid, fault))
            await close(websocket, fault)
        return
    await session.run()


async def _read_init(websocket: WebSocket, timeout_s: float) -> Init | None:
    """None: the client has gone. Raises NotInit, or IdleTimeout when nothing comes."""
    try:
        async with asyncio.timeout(timeout_s or None):
            message = await websocket.receive()
            while message.get("bytes") == b"":
                message = await websocket.receive()
    except TimeoutError:
        raise IdleTimeout("no init came", limit=f"{timeout_s:g} s") from None
    if message["type"] == "websocket.disconnect":
        return None
    text = message.get("text")
    return read_init(message["bytes"] if text is None else text)


class Session:
    """A stream that has a seat. One task listens and one speaks, so that a client that reads slowly is still heard."""

    def __init__(
        self, websocket: WebSocket, init: Init, sid: Sid, *, room: Room, settings: Settings, trace: Trace
    ) -> None:
        """Takes the seat; raises Overloaded, Draining or NotReady."""
        self._websocket, self._room, self._trace, self._sid = websocket, room, trace, sid
        self._request_id: str = websocket.state.request_id
        self._intake, self._transcript = Intake(init.sample_rate_hz), Transcript()
        self._speaker = Speaker(
            websocket,
            sid=sid,
            transcript=self._transcript,
            pause_s=settings.step_ms / 1000,
            patience_s=settings.idle_timeout_s,
            on_sent=self._note_sent,
        )
        self._idle_timeout_s = settings.idle_timeout_s
        self._idle = Patience(settings.idle_timeout_s, self._give_up)
        self._quiet = Patience(settings.flush_after_ms / 1000, self._complete)
        self._has_room = asyncio.Event()
        self._owed_flush = 0
        self._end_fault: ServerFault | None = None
        self._is_closing = False
        self._slot: Slot[Heard] = room.take_seat(self._take_step)

    async def run(self) -> None:
        """Until the stream's end is told, or the client is gone."""
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._speaker.run())]
        self._idle.touch()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._slot.leave()
            self._idle.stop()
            self._quiet.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        """Returns when the connection is gone; what comes after the end is ignored."""
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if self._is_closing:
                continue
            try:
                audio, text = message.get("bytes"), message.get("text")
                if text is not None:
                    self._operate(text)
                elif audio:
                    await self._hear(audio)
            except ServerFault as fault:
                self._end(fault)

    async def _hear(self, audio: bytes) -> None:
        self._idle.touch()
        self._quiet.touch()
        at_s = time.monotonic()
        for number, samples in enumerate(self._intake.read(audio)):
            if number:
                await asyncio.sleep(0)  # others first: this message is long
            self._slot.append(samples, at_s=at_s)
            if self._slot.waiting_samples > self._room.buffer_samples:
                await self._await_room()
            if self._is_closing:
                return

    async def _await_room(self) -> None:
        """Meanwhile nothing is read from the client, so it is neither idle nor quiet."""
        self._idle.hold()
        self._quiet.hold()
        while self._slot.waiting_samples > self._room.buffer_samples:
            self._has_room.clear()
            await self._has_room.wait()
        self._idle.resume()
        self._quiet.resume()

    def _operate(self, text: str) -> None:
        operation = read_operation(text, self._sid)
        self._idle.touch()
        self._quiet.stop()
        at_s = time.monotonic()
        if self._intake.has_half_sample:
            self._intake.drop_half_sample()
            half = BadInput("the audio ends within a sample, whose one byte is dropped", field="audio", limit="PCM16")
            self._speaker.warn(half)
            self._end_fault = half if operation == "close" else None
        self._slot.append(self._intake.drain(), at_s=at_s)
        if operation == "flush":
            self._flush(at_s)
        else:
            self._is_closing = True
            self._idle.stop()
            if not self._slot.end(at_s=at_s):
                self._finish()
        self._room.stepper.hurry()

    def _flush(self, at_s: float) -> None:
        number = self._slot.flush(at_s=at_s)
        if self._slot.flushed >= number:
            self._speaker.answer()
        else:
            self._owed_flush = number

    def _complete(self) -> None:
        """No audio for a while: a turn has ended, if nothing else was said."""
        at_s = time.monotonic()
        self._slot.append(self._intake.drain(), at_s=at_s)
        self._slot.flush(at_s=at_s)

    def _give_up(self) -> None:
        self._end(IdleTimeout("nothing came from the client", limit=f"{self._idle_timeout_s:g} s"))

    def _take_step(self, step: Step[Heard]) -> None:
        """Called by the stepper, on the event loop."""
        if isinstance(step.result, Exception):
            fault = InferenceFailed("the model failed on this stream")
            fault.__cause__ = step.result
            self._end(fault)
            return
        self._note_step(step)
        if self._transcript.add(step.result):
            self._speaker.tell_change()
        if self._owed_flush and step.flush >= self._owed_flush:
            self._owed_flush = 0
            self._speaker.answer()
        if step.last:
            self._finish()
        self._has_room.set()

    def _finish(self) -> None:
        """All that was said is heard."""
        self._slot.leave()
        self._speaker.end(self._end_fault, with_text=True)

    def _end(self, fault: ServerFault) -> None:
        """The stream ends here, with no more text; its seat is free at once."""
        self._is_closing = True
        self._slot.leave()
        self._has_room.set()
        self._idle.stop()
        self._quiet.stop()
        self._speaker.end(fault)

    def _note_step(self, step: Step[Heard]) -> None:
        if not self._trace.enabled:
            return
        note, own = self._trace.note, self._request_id
        batch = {"batch_size": step.batch_size, "slot": step.slot}
        note("received", request_id=own, at_s=step.received_s)
        note("queued", request_id=own, at_s=step.queued_s)
        note("step_start", request_id=own, at_s=step.started_s, **batch)
        note("step_end", request_id=own, at_s=step.ended_s, **batch)

    def _note_sent(self) -> None:
        self._trace.note("sent", request_id=self._request_id)
