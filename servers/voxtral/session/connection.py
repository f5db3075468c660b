"""A session on its socket: one task reads and one writes, and the many ways in which it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from starlette.websockets import WebSocket

from servers.common.edge import accept_request_id
from servers.common.logs import SESSION_ID
from servers.voxtral.faults import CloseCode, WireFault, invalid_message
from servers.voxtral.session.complaints import Complaints
from servers.voxtral.session.envelope import Envelope
from servers.voxtral.session.held import Held
from servers.voxtral.session.machine import Machine
from servers.voxtral.session.messages import Append, Cancel, End, Finish, Message, Ping, Start, Update
from servers.voxtral.session.outbox import FAREWELL_S, SLOW_READER, Outbox
from servers.voxtral.session.rates import Window, too_often
from servers.voxtral.session.watch import CLOSES, Watch
from servers.voxtral.settings import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from servers.voxtral.session.room import Room

END_S: Final = 10.0
"""What is owed after `end` may take so long."""
TIMEOUT_S: Final = 2.0
"""And after a session was idle, or has lasted too long."""
YIELD_EVERY: Final = 16
"""Messages that lie ready are taken without a pause; after so many the others get their turn."""
RESULTS: Final = ("transcription.delta", "transcription.done")


class Session:
    """Has a seat in the room from its making; `run` once."""

    def __init__(self, websocket: WebSocket, room: Room) -> None:
        settings, self._room, self._websocket = room.settings, room, websocket
        self._trace, self._trace_id = room.trace, str(websocket.state.request_id)
        self._envelope = Envelope(self._trace_id, model=settings.client_model, max_append_s=settings.max_append_s)
        self._outbox = Outbox(
            websocket,
            on_stuck=self._drop_slow_reader,
            on_sent=self._note_sent if room.trace.enabled else None,
        )
        self._machine = Machine(
            room.hear,
            self,
            held=Held(
                max_messages=settings.inbound_queue_max,
                max_bytes=2 * round(settings.inbound_audio_max_s * SAMPLE_RATE_HZ),
            ),
            stamps=room.meters,
        )
        self._watch = Watch(
            idle_timeout_s=settings.idle_timeout_s,
            max_duration_s=settings.max_connection_duration_s,
            at_s=time.monotonic(),
        )
        self._messages = Window(settings.max_messages_per_window, settings.message_window_s)
        self._cancels = Window(settings.max_cancels_per_window, settings.cancel_window_s)
        self._complaints = Complaints(self.tell, self._say_fault)
        self._farewell: tuple[str, int] | None = None
        """Why the session ends, once that is settled: from then on nothing the client says counts."""
        self._deadline: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until the session's end is told, or the client is gone."""
        self._note_session_id()
        created = {"id": self._envelope.session_id, "created": int(time.time())}
        self.tell("session.created", None, created)
        reading, writing = asyncio.create_task(self._read()), asyncio.create_task(self._outbox.run())
        try:
            await asyncio.wait((reading, writing), return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, writing):
                if task.done() and not task.cancelled():
                    task.result()
        finally:
            self._machine.abandon()
            self._complaints.stop()
            if self._deadline is not None:
                self._deadline.cancel()
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
            self._room.meters.count_ended("gone" if self._farewell is None else self._farewell[0])

    def look(self, at_s: float) -> None:
        """At every tick of the room's watchdog."""
        self._outbox.look(at_s)
        verdict = self._watch.verdict(at_s, owes=self._machine.owes)
        if verdict is not None and self._farewell is None:
            self._part(verdict, CLOSES[verdict], within_s=TIMEOUT_S)

    def break_off(self, fault: WireFault) -> None:
        """The session ends here and now, with this `error`; nothing that is owed comes any more."""
        request_id = self._machine.request_id
        self._machine.abandon()
        self._leave(request_id, fault)

    # What the machine brings about.

    def tell(self, kind: str, request_id: str | None, payload: Mapping[str, Any]) -> None:
        self._outbox.put(self._envelope.write(kind, request_id, payload), is_result=kind in RESULTS)

    def tell_fault(self, request_id: str | None, fault: WireFault) -> None:
        if fault.closes is None:
            self._complaints.add(request_id, fault)
        else:
            self._leave(request_id, fault)

    def tell_dropped(self, size_bytes: int) -> None:
        seconds = size_bytes / 2 / SAMPLE_RATE_HZ
        self._room.meters.count_dropped(seconds)
        self._complaints.add_dropped(seconds)

    def admit_cancel(self) -> None:
        at_s = time.monotonic()
        if not self._cancels.admit(at_s):
            raise too_often("cancel_rate_limited", "cancelled utterances", self._cancels, at_s)

    def concluded(self) -> None:
        reason, code = self._farewell or ("end", CloseCode.END)
        self._complaints.flush()
        self.tell("session_end", None, {"reason": reason})
        self._close(code, reason)

    # What the client says.

    async def _read(self) -> None:
        receive, number = self._websocket.receive, 0
        while (message := await receive())["type"] != "websocket.disconnect":
            number += 1
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            if self._farewell is None:
                self._take(message.get("text"))

    def _take(self, text: str | None) -> None:
        """None: it was a binary frame."""
        at_s = time.monotonic()
        if text is not None:
            self._watch.touched_s = at_s
        if not self._messages.admit(at_s):
            fault = too_often("message_rate_limited", "messages", self._messages, at_s)
            self._complaints.add(self._machine.request_id, fault)
            return
        try:
            if text is None:
                raise invalid_message("binary_frame", "audio comes as base64 within JSON text frames")
            message = self._envelope.read(text)
            if isinstance(message, Append):
                self._machine.append(message.request_id, message.pcm)
                if self._trace.enabled:
                    self._note_append(at_s)
            else:
                self._do(message)
        except WireFault as fault:
            asked_by = None if text is None else self._envelope.asked_by
            self._complaints.add(asked_by or self._machine.request_id, fault)

    def _do(self, message: Message) -> None:
        machine, request_id = self._machine, message.request_id
        match message:
            case Start():
                machine.start(request_id)
                self._note_session_id()
            case Finish():
                machine.finish(request_id)
            case Cancel():
                machine.cancel(request_id, message.reason)
            case Ping():
                self.tell("pong", request_id or machine.request_id, message.payload)
            case Update():
                settings = self._room.settings
                delay_ms = settings.transcription_delay_ms
                told = {"model": settings.client_model, "transcription_delay_ms": delay_ms}
                self.tell("session.updated", request_id or machine.request_id, told)
            case End():
                self._part("end", CloseCode.END, within_s=END_S)

    # How it ends.

    def _part(self, reason: str, code: CloseCode, *, within_s: float) -> None:
        """What is owed still comes, if it comes in time."""
        self._farewell = (reason, code)
        self._deadline = asyncio.get_running_loop().call_later(within_s, self._machine.give_up, reason)
        self._machine.end()

    def _leave(self, request_id: str | None, fault: WireFault) -> None:
        """With a fault that closes."""
        self._farewell = (fault.reason_code, fault.closes or CloseCode.ENGINE_UNAVAILABLE)
        self._complaints.flush()
        self._say_fault(request_id, fault)
        self._close(self._farewell[1], fault.message)

    def _close(self, code: int, reason: str) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._outbox.close(code, reason)
        # Whoever reads nothing does not read this either.
        self._deadline = asyncio.get_running_loop().call_later(FAREWELL_S, self._outbox.abandon)

    def _drop_slow_reader(self) -> None:
        self._room.meters.count_slow_reader()
        self._machine.abandon()
        self._farewell = ("slow_reader", SLOW_READER)
        self._close(SLOW_READER, "what is sent is not read")

    def _say_fault(self, request_id: str | None, fault: WireFault) -> None:
        self._room.meters.count_error(fault)
        self.tell("error", request_id, fault.payload())

    # What is written down.

    def _note_session_id(self) -> None:
        SESSION_ID.set(accept_request_id(self._envelope.session_id))

    def _note_append(self, at_s: float) -> None:
        self._trace.note("received", request_id=self._trace_id, at_s=at_s)
        self._trace.note("queued", request_id=self._trace_id)

    def _note_sent(self) -> None:
        self._trace.note("sent", request_id=self._trace_id)
