"""One utterance on a connection: spoken, listened to, judged. Whatever ends it first is its verdict.

Knows time limits; sockets are the line's business, what messages mean is the codec's.
"""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import Any, Final

from yapbench.clients.codec import Codec, Heard, Message
from yapbench.clients.interface import Event, Exchange, storable
from yapbench.clients.line import Line, Observer, Sight, Verdict
from yapbench.pacing.streaming import Delivery, Speech, StreamOptions
from yapbench.pacing.timer import SECOND_NS, Pacer
from yapbench.schema import Outcome

MOST_EVENTS: Final = 20_000
MOST_BYTES: Final = 64 << 20
"""A server that says more about one utterance is flooding us: it is given up before memory is. Long ones have more."""
UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What a reader raises for what a stranger wrote; ArithmeticError: a number of JSON that no float can hold."""
_EVENTS_A_FRAME: Final = 10
_BYTES_A_FRAME: Final = 4096

_PING_NS: Final = 500_000_000  # at the end of our patience: is it still there?
_ERROR_TEXT_LIMIT: Final = 500


class Call:
    """Used once: `run` with a connection of its own, or `follow` on one that stands."""

    def __init__(
        self,
        codec: Codec,
        speech: Speech,
        request_id: str,
        options: StreamOptions,
        timeout_s: float,
        pacer: Pacer,
        *,
        line: Line | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._codec, self._speech, self._request_id, self._options = codec, speech, request_id, options
        self._pacer, self._timeout_s, self._timeout_ns = pacer, timeout_s, round(timeout_s * SECOND_NS)
        self._reader = (codec.reader if options.eos == "commit" else codec.reader_of_silence)(request_id)
        self._events: list[Event] = []
        self._bytes_left = max(MOST_BYTES, _BYTES_A_FRAME * len(speech.frames))
        self._events_left = max(MOST_EVENTS, _EVENTS_A_FRAME * len(speech.frames))
        self._delivery: Delivery | None = None
        self._heard_ns = self._begun_ns = time.monotonic_ns()
        self._ended_ns: int | None = None
        self._pinged = False
        self._watches = 0
        loop = asyncio.get_running_loop()
        self._verdict: asyncio.Future[Verdict] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._line = Line(self, timeout_s=timeout_s, observer=observer) if line is None else line
        self._line.listener = self

    async def run(self, url: str, headers: dict[str, str], intended_ns: int, before: tuple[Event, ...]) -> Exchange:
        """The whole call; never later than the time limits, and a little, after what it waits for was due."""
        line = self._line
        try:
            failure = await line.dial(url, headers)
            if failure is not None:
                verdict, event = failure
                self._events += [] if event is None else [event]
                self._end(verdict, None if event is None else event.at_ns)
            else:
                await self._open()
            verdict = await self._converse(intended_ns)
        finally:
            self._stop()
            line.hang_up()
        return self._exchange(verdict, before, dialled_ns=line.dialled_ns, connected_ns=line.connected_ns)

    async def follow(self, intended_ns: int, *, first: bool) -> Exchange:
        """The utterance alone, on a line that stands and is left standing; `first`: its session has just begun."""
        line = self._line
        try:
            for message in () if first else self._codec.resume(self._request_id):
                line.send(message, "opening")
            verdict = await self._converse(intended_ns)
        finally:
            self._stop()
        dialled_ns, connected_ns = (line.dialled_ns, line.connected_ns) if first else (None, None)
        return self._exchange(verdict, (), dialled_ns=dialled_ns, connected_ns=connected_ns)

    async def _open(self) -> None:
        """Begin the session, and wait until the server is ready where the wire says so, and as long as it says."""
        self._watch()
        for message in self._codec.opening(self._request_id):
            self._line.send(message, "opening")
        if self._codec.waits_for_ready:
            either: list[asyncio.Future[Any]] = [self._ready, self._verdict]
            patience_s = self._codec.ready_patience_s
            await asyncio.wait(either, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)

    async def _converse(self, intended_ns: int) -> Verdict:
        """Speak, unless it is over already, and wait for the end."""
        if not self._verdict.done():
            self._speak(self._options.not_before(intended_ns, time.monotonic_ns()))
        return await self._line.explain(await self._verdict)

    def _exchange(
        self, verdict: Verdict, before: tuple[Event, ...], *, dialled_ns: int | None, connected_ns: int | None
    ) -> Exchange:
        delivery = self._delivery
        self._delivery = None  # no circle: nothing collects garbage while the clock runs
        return Exchange(
            outcome=verdict.outcome,
            ended_ns=self._ended_ns or time.monotonic_ns(),
            events=(*before, *self._events),
            sent_ns=delivery.sent_ns if delivery else None,
            sent_end_ns=delivery.sent_end_ns if delivery else None,
            connect_start_ns=dialled_ns,
            connected_ns=connected_ns,
            lateness_ns=delivery.lateness_ns() if delivery else (),
            status=verdict.status,
            error=verdict.error,
            t0_ns=delivery.t0_ns if delivery else None,
            owed_ns=delivery.owed_ns if delivery else None,
        )

    def _speak(self, t0_ns: int) -> None:
        if (observer := self._line.observer) is not None:
            observer(Sight(t0_ns, "line", "t0"))
        self._delivery = Delivery(
            self._pacer,
            self._speech,
            self._options,
            t0_ns=t0_ns,
            write=self._line.frames(binary=self._speech.binary),
            finish=self._say_end if self._options.eos == "commit" else None,
        )
        if self._line.blocked:
            self._delivery.pause()
        self._delivery.start()
        self._watch()

    def _say_end(self) -> None:
        for message in self._codec.end(self._request_id):
            self._line.send(message, "end")
        self._watch()  # at pace 0 the result is owed from now on

    # What the line calls:

    def hear(self, at_ns: int, message: bytes, *, binary: bool) -> None:
        if self._pinged or self._verdict.done():
            return
        self._heard_ns = at_ns
        self._bytes_left -= len(message)
        ended = self._delivery is not None and self._delivery.ended
        try:
            said: Message = message if binary else message.decode()
            heard = self._reader.read(said, ended=ended)
            if heard.text is not None and not heard.text.isascii():
                heard.text.encode()  # half of a surrogate pair is no text, and could not be stored
        except UNREADABLE as cause:
            words = repr(message[:_ERROR_TEXT_LIMIT])
            self._note(at_ns, Heard("garbage", data=json.dumps(words)), message)
            self._end(Verdict(Outcome.PROTOCOL, error=f"cannot be read ({cause}): {words}"), at_ns)
            return
        self._note(at_ns, heard, said)
        if heard.kind == "ready" and not self._ready.done():
            self._ready.set_result(None)
        if heard.outcome is not None:
            self._end(Verdict(heard.outcome, error=heard.error), at_ns)
        elif len(self._events) >= self._events_left:
            error = f"flooded: {len(self._events)} messages for one utterance"
            self._end(Verdict(Outcome.PROTOCOL, error=error), at_ns)
        elif self._bytes_left < 0:
            error = f"flooded: {len(self._events)} messages of too many bytes for one utterance"
            self._end(Verdict(Outcome.PROTOCOL, error=error), at_ns)

    def hear_close(self, at_ns: int, code: int, reason: str) -> None:
        heard = Heard("closed", data=json.dumps({"code": code, "reason": reason}))
        if not self._verdict.done():
            self._note(at_ns, heard, "")
            self._end(Verdict(self._codec.outcome_of_close(code), code, reason or f"closed with {code}"), at_ns)

    def hear_pong(self) -> None:
        if self._pinged:
            self._end(Verdict(Outcome.NO_FINAL, error=f"{self._too_late()}, but the server is there"))

    def hear_end(self, verdict: Verdict) -> None:
        self._end(verdict)

    def hear_blocked(self, blocked: bool) -> None:
        if self._delivery is not None:
            if blocked:
                self._delivery.pause()
            else:
                self._delivery.resume()

    def _note(self, at_ns: int, heard: Heard, message: Message) -> None:
        data = heard.data
        if data is None and isinstance(message, str):
            data = message
        self._events.append(Event(at_ns, heard.kind, heard.text, data))
        if (observer := self._line.observer) is not None:
            observer(Sight(at_ns, "received", heard.kind, len(message), data or "", heard.text))

    # What ends a call:

    def _deadline_ns(self) -> int:
        """When our patience ends, as things stand now."""
        delivery = self._delivery
        if delivery is None:
            return self._begun_ns + self._timeout_ns
        owed_ns, post_wait_ns = delivery.owed_ns, round(self._options.post_wait_s * SECOND_NS)
        if owed_ns is None:  # as fast as accepted, and not all is
            return max(delivery.moved_ns, self._heard_ns) + min(self._timeout_ns, post_wait_ns)
        return min(owed_ns + post_wait_ns, max(owed_ns, self._heard_ns) + self._timeout_ns)

    def _watch(self) -> None:
        """Look at the deadline when it is due as things stand now. To be called when it may have come nearer."""
        self._watches += 1
        self._pacer.at(self._deadline_ns(), partial(self._expire, self._watches))

    def _expire(self, watch: int, now_ns: int) -> int | None:
        """The pacer's: ends the call when its deadline is past, else comes back then."""
        if self._verdict.done() or watch != self._watches:
            return None
        deadline_ns = self._deadline_ns()
        if now_ns < deadline_ns:
            return deadline_ns
        delivery, line = self._delivery, self._line
        if self._pinged or line.blocked or delivery is None or not delivery.ended or not line.stands:
            self._end(Verdict(Outcome.TIMEOUT, error=self._too_late()))
            return None
        # Frozen, or alive and silent? A server that still answers a ping owes us a final; nothing else counts any more.
        self._pinged = True
        line.ping()
        return now_ns + _PING_NS

    def _too_late(self) -> str:
        delivery = self._delivery
        if delivery is None:
            return f"the server was not ready within {self._timeout_s:g} s"
        if not delivery.ended:
            return f"the server took only {delivery.handed_over} of {self._speech.last + 1} frames in time"
        limit_s = min(self._timeout_s, self._options.post_wait_s)
        return f"no final within {limit_s:g} s of the end of speech or of the message before"

    def _end(self, verdict: Verdict, at_ns: int | None = None) -> None:
        if not self._verdict.done():
            self._ended_ns = at_ns or time.monotonic_ns()
            error = None if verdict.error is None else storable(verdict.error[: 4 * _ERROR_TEXT_LIMIT])
            self._verdict.set_result(verdict._replace(error=error))
            if self._delivery is not None:
                self._delivery.stop()

    def _stop(self) -> None:
        """No callback does anything from now on."""
        if self._delivery is not None:
            self._delivery.stop()
        if not self._verdict.done():  # cancelled: the pacer must not look at us again
            self._verdict.cancel()
