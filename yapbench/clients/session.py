"""One connection for several utterances, with silence between them: conversations, and waiting to be put out.

For wires whose codec keeps connections open. Knows no schedule: who owns it says when the next utterance begins.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from yapbench.clients.call import Call
from yapbench.clients.codec import Codec, Heard
from yapbench.clients.framing import encode
from yapbench.clients.interface import Audio, Event, Exchange, storable
from yapbench.clients.line import Line, Observer, Sight, Verdict
from yapbench.clients.websocket import headers_of, url_of
from yapbench.corpus import Utterance
from yapbench.pacing.streaming import Speech, StreamOptions
from yapbench.pacing.timer import Pacer
from yapbench.schema import Outcome


@dataclass(frozen=True)
class Closing:
    """How the server ended a connection."""

    at_ns: int
    code: int | None
    """None: it broke without a close frame."""
    reason: str


class Session:
    """Used once: `open`, then `say` and `wait_closed` as often as wanted; leaving the context hangs up."""

    def __init__(
        self,
        codec: Codec,
        url: str,
        *,
        request_id: str,
        timeout_s: float,
        environment: Mapping[str, str],
        options: StreamOptions,
        pacer: Pacer,
        observer: Observer | None = None,
    ) -> None:
        self._codec, self._options, self._pacer, self._timeout_s = codec, options, pacer, timeout_s
        self._url, self._headers = url_of(codec, url), headers_of(codec, environment, request_id)
        self.request_id, self.sample_rate_hz = request_id, codec.sample_rate_hz
        self._reader = codec.reader(request_id)
        self._line = Line(self, timeout_s=timeout_s, observer=observer)
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
        self._said = 0
        self.events: list[Event] = []
        """What came outside of utterances: `ready`, late words, the closing."""
        self.last_sent_ns = 0
        """When we last sent something, the upgrade included."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.hang_up()

    @property
    def stands(self) -> bool:
        """Another utterance can be said."""
        return self._line.stands and not self._gone.done()

    def prepare(self, utterance: Utterance, audio: Audio) -> Speech:
        """As a client's. Raises UsageError for frames of no whole number of samples."""
        return encode(self._codec, self._options, audio, speech_end_s=utterance.speech_end_s)

    async def open(self) -> Exchange | None:
        """Connect and wait until the server is ready, where the wire says so. None: it stands; else how it failed."""
        line = self._line
        failure = await line.dial(self._url, self._headers)
        if failure is not None:
            verdict, event = failure
            self.events += [] if event is None else [event]
            return self._failed(verdict)
        for message in self._codec.opening(self.request_id):
            line.send(message, "opening")
        self.last_sent_ns = time.monotonic_ns()
        if self._codec.waits_for_ready:
            either: list[asyncio.Future[Any]] = [self._ready, self._gone]
            done, _ = await asyncio.wait(either, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return self._failed(Verdict(Outcome.TIMEOUT, error=f"not ready within {self._timeout_s:g} s"))
        return self._failed(self._verdict_of(self._gone.result())) if self._gone.done() else None

    async def say(self, payload: Speech, *, intended_ns: int) -> Exchange:
        """One utterance, as `Client.exchange`; its connect stamps are None after the first."""
        if self._gone.done():
            return self._failed(self._verdict_of(self._gone.result()))
        first, self._said = not self._said, self._said + 1
        call = Call(
            self._codec,
            payload,
            self.request_id,
            self._options,
            self._timeout_s,
            self._pacer,
            line=self._line,
        )
        exchange = await call.follow(intended_ns, first=first)
        self._line.listener = self
        if first:
            exchange = replace(exchange, events=(*self.events, *exchange.events))  # among them `ready`
        self.last_sent_ns = exchange.sent_end_ns or exchange.ended_ns
        closed = next((event for event in exchange.events if event.kind == "closed"), None)
        if closed is not None:
            facts = json.loads(closed.data or "{}")
            self._end(Closing(closed.at_ns, facts.get("code"), facts.get("reason", "")))
        elif not self._line.stands:
            self._end(Closing(exchange.ended_ns, None, exchange.error or ""))
        return exchange

    async def wait_closed(self, timeout_s: float) -> Closing | None:
        """Send nothing until the server has ended the connection; None when it has not within so many seconds."""
        done, _ = await asyncio.wait([self._gone], timeout=timeout_s)
        return self._gone.result() if done else None

    # What the line calls outside of utterances:

    def hear(self, at_ns: int, message: bytes, *, binary: bool) -> None:
        try:
            heard = self._reader.read(message if binary else message.decode(), ended=True)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as cause:  # what a stranger wrote
            heard = Heard("garbage", data=json.dumps(f"{cause}: {message[:500]!r}"))
        data = heard.data or (None if binary else message.decode())
        self.events.append(Event(at_ns, heard.kind, heard.text and storable(heard.text), data))
        if (observer := self._line.observer) is not None:
            observer(Sight(at_ns, "received", heard.kind, len(message), data or ""))
        if heard.kind == "ready" and not self._ready.done():
            self._ready.set_result(None)

    def hear_close(self, at_ns: int, code: int, reason: str) -> None:
        data = json.dumps({"code": code, "reason": reason})
        self.events.append(Event(at_ns, "closed", data=data))
        if (observer := self._line.observer) is not None:
            observer(Sight(at_ns, "received", "closed", 0, data))
        self._end(Closing(at_ns, code, reason))

    def hear_pong(self) -> None:
        """Nothing: no ping is sent."""

    def hear_end(self, verdict: Verdict) -> None:
        self._end(Closing(time.monotonic_ns(), None, verdict.error or ""))

    def hear_blocked(self, blocked: bool) -> None:
        """Nothing: the next utterance asks."""

    def _end(self, closing: Closing) -> None:
        if not self._gone.done():
            self._gone.set_result(closing)

    def _verdict_of(self, closing: Closing) -> Verdict:
        if closing.code is None:
            return Verdict(Outcome.SERVER_DIED, 1006, closing.reason)
        outcome = self._codec.outcome_of_close(closing.code)
        return Verdict(outcome, closing.code, closing.reason or f"closed with {closing.code}")

    def _failed(self, verdict: Verdict) -> Exchange:
        return Exchange(
            outcome=verdict.outcome,
            ended_ns=time.monotonic_ns(),
            events=tuple(self.events),
            connect_start_ns=self._line.dialled_ns,
            connected_ns=self._line.connected_ns,
            status=verdict.status,
            error=verdict.error,
        )
