"""One connection of /ws: it has a seat, is heard, gets its answers, and ends in one of many ways."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import BadInput, Draining, IdleTimeout, Overloaded, ServerFault
from servers.common.logs import SESSION_ID
from servers.common.patience import Patience
from servers.common.sockets import close, send
from servers.common.trace import Trace
from servers.parakeet.desk import Desk
from servers.parakeet.live.chunker import Chunk, ClosedBy
from servers.parakeet.live.listening import Listener
from servers.parakeet.live.partials import Partials
from servers.parakeet.live.protocol import Pcm, read_operation, write_error, write_result
from servers.parakeet.live.speaker import Owed, Speaker
from servers.parakeet.settings import Settings

DRAIN_LOOK_S: Final = 0.25
YIELD_EVERY: Final = 16
"""Frames that lie ready are taken without a pause; after so many the others get their turn."""


class _Over(Exception):
    """The connection is closed, by whomever."""


async def serve_connection(websocket: WebSocket, *, settings: Settings, desk: Desk, trace: Trace) -> None:
    """An accepted connection to its end."""
    SESSION_ID.set(websocket.state.request_id)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(desk.sessions.seat())
        except Overloaded as fault:
            with contextlib.suppress(WebSocketDisconnect):
                await send(websocket, write_error(fault))
                await close(websocket, fault)
            return
        await Session(websocket, settings=settings, desk=desk, trace=trace).run()


class Session:
    """A client that has a seat. It is listened to, heard and spoken to in tasks of their own, one each for its chunks:
    whatever ends the session ends them all, and a chunk that still waits for the model is withdrawn."""

    def __init__(self, websocket: WebSocket, *, settings: Settings, desk: Desk, trace: Trace) -> None:
        self._websocket, self._settings, self._desk, self._trace = websocket, settings, desk, trace
        self._request_id: str = websocket.state.request_id
        self._pcm, self._tasks = Pcm(), asyncio.TaskGroup()
        self._speaker = Speaker(
            websocket,
            chunks=chunks_at_once(settings),
            patience_s=settings.idle_timeout_s,
            on_sent=self._note_sent,
        )
        self._partials = Partials(
            settings, desk, request_id=self._request_id, start=self._tasks.create_task, show=self._speaker.show
        )
        self._listener = Listener(
            settings,
            desk,
            take=self._take_chunk,
            room=self._speaker.has_room_for_a_chunk,
            heard=self._partials.consider,
        )
        self._idle = Patience(settings.idle_timeout_s, self._give_up)
        self._is_closing = False
        self._drained_s = 0.0
        """When a chunk that is still open is closed because the server goes away; 0 while it does not."""
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until the connection is closed."""
        self._idle.touch()
        self._look_for_drain()
        try:
            async with self._tasks as tasks:
                for work in (self._listen, self._hear, self._speak):
                    tasks.create_task(work())
        except* _Over:
            pass
        finally:
            self._idle.stop()
            if self._timer is not None:
                self._timer.cancel()

    async def _listen(self) -> None:
        """What comes after the end is ignored."""
        number = 0
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if self._is_closing:
                continue
            self._idle.touch()
            frame, text = message.get("bytes"), message.get("text")
            if text is not None:
                self._operate(text)
            elif frame:
                await self._take_frame(frame)
            await self._await_room()
            number += 1
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        raise _Over

    async def _take_frame(self, frame: bytes) -> None:
        at_s = time.monotonic()
        for number, samples in enumerate(self._pcm.read(frame)):
            if number:
                await asyncio.sleep(0)  # others first: this frame is long
            self._listener.append(samples, at_s=at_s)
            await self._await_room()

    def _operate(self, text: str) -> None:
        try:
            read_operation(text)
        except BadInput as fault:
            self._speaker.say(write_error(fault))
            return
        half = self._pcm.end()
        if half is not None:
            self._speaker.say(write_error(half))
        self._listener.close(ClosedBy.FLUSH, then=self._speaker.tell_flushed)

    async def _await_room(self) -> None:
        """Whoever sends faster than it is heard, or does not read what it is told, is not read meanwhile."""
        if self._listener.is_full or self._speaker.is_full:
            self._idle.hold()
            await self._listener.has_room()
            await self._speaker.has_room_for_words()
            self._idle.resume()

    async def _hear(self) -> None:
        try:
            await self._listener.run()
        except ServerFault as fault:
            self._is_closing = True
            self._listener.give_up()
            self._speaker.end(fault)

    async def _speak(self) -> None:
        await self._speaker.run()
        raise _Over

    def _take_chunk(self, chunk: Chunk, received_s: float) -> None:
        self._partials.drop()
        owed = self._speaker.queue()
        self._tasks.create_task(self._answer(chunk, received_s, owed))

    async def _answer(self, chunk: Chunk, received_s: float, owed: Owed) -> None:
        try:
            answer = await self._desk.transcribe(chunk.audio, request_id=self._request_id, received_s=received_s)
            message = write_result(chunk, answer.value)
        except ServerFault as fault:
            # Also where the queue is full: the chunk is announced, and to wait here in secret would make the client's
            # clock, not its log, show that the server has too much to do.
            message = write_error(fault, chunk)
        self._speaker.answer(owed, message)

    def _look_for_drain(self) -> None:
        """A server that goes away lets the open chunk come to its end, for half the time that it has itself."""
        try:
            self._desk.check_open()
        except Draining as fault:
            now_s = time.monotonic()
            self._drained_s = self._drained_s or now_s + self._settings.drain_timeout_s / 2
            if now_s >= self._drained_s or not self._listener.is_within_speech:
                self._end(fault)
                return
        self._timer = asyncio.get_running_loop().call_later(DRAIN_LOOK_S, self._look_for_drain)

    def _give_up(self) -> None:
        self._end(IdleTimeout("nothing came from the client", limit=f"{self._settings.idle_timeout_s:g} s"))

    def _end(self, fault: ServerFault) -> None:
        """No more is listened to; what was said is answered, and then the connection closed."""
        if not self._is_closing:
            self._is_closing = True
            self._idle.stop()
            self._listener.close(ClosedBy.END, then=lambda: self._speaker.end(fault))

    def _note_sent(self) -> None:
        self._trace.note("sent", request_id=self._request_id)


def chunks_at_once(settings: Settings) -> int:
    """How many chunks of one session may be queued or unanswered: its share of the queue, at most a whole batch.

    So sessions alone do not find the queue full, however fast they send. Two at least: one is answered, one is next.
    """
    return max(2, min(settings.queue_limit // settings.max_sessions, settings.batch_size))
