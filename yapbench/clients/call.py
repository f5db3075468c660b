"""One call: a connection with one utterance, from the dial to the hanging up. Whatever ends it first is its verdict.

Knows sockets (picows) and time limits; what messages mean is the codec's business.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from functools import partial
from typing import Any, Final, NamedTuple

from picows import WSCloseCode, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from yapbench.clients.codec import Codec, Heard, Message
from yapbench.clients.interface import Event, Exchange, outcome_of_status
from yapbench.clients.smart_turn import words_of
from yapbench.schema import Outcome
from yapbench.streaming import Delivery, Speech, StreamOptions
from yapbench.timer import SECOND_NS, Pacer

MOST_EVENTS: Final = 20_000
"""A server that says more about one utterance is flooding us; the utterance is given up before memory is."""

_PING_NS: Final = 500_000_000  # at the end of our patience: is it still there?
_NO_CLOSE_FRAME: Final = 1006
_ERROR_TEXT_LIMIT: Final = 500

_silent = logging.getLogger("yapbench.picows")  # what happens to a connection is in the rows
_silent.setLevel(logging.CRITICAL + 1)


class Verdict(NamedTuple):
    """How an utterance ended."""

    outcome: Outcome
    status: int | None = None
    error: str | None = None


class Call(WSListener):
    """Used once: `run`. The rest is called by picows and by the pacer."""

    def __init__(
        self,
        codec: Codec,
        speech: Speech,
        request_id: str,
        options: StreamOptions,
        timeout_s: float,
        pacer: Pacer,
    ) -> None:
        self._codec, self._speech, self._request_id, self._options = codec, speech, request_id, options
        self._pacer, self._timeout_s, self._timeout_ns = pacer, timeout_s, round(timeout_s * SECOND_NS)
        self._reader = codec.reader(request_id)
        self._events: list[Event] = []
        self._transport: WSTransport | None = None
        self._delivery: Delivery | None = None
        self._connected_ns: int | None = None
        self._heard_ns = self._dialled_ns = time.monotonic_ns()
        self._ended_ns: int | None = None
        self._pinged = self._blocked = False
        self._watches = 0
        self._parts: list[bytes] = []
        self._parts_binary = False
        loop = asyncio.get_running_loop()
        self._verdict: asyncio.Future[Verdict] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()

    async def run(self, url: str, headers: dict[str, str], intended_ns: int, before: tuple[Event, ...]) -> Exchange:
        """The whole call; never later than the time limits, and a little, after what it waits for was due."""
        try:
            await self._dial(url, headers)
            if not self._verdict.done():
                self._watch()
                for message in self._codec.opening(self._request_id):
                    self._say(message)
                if self._codec.waits_for_ready:
                    either: list[asyncio.Future[Any]] = [self._ready, self._verdict]
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._verdict.done():
                self._speak(self._options.not_before(intended_ns, time.monotonic_ns()))
            verdict = await self._verdict
        finally:
            self._hang_up()
        delivery = self._delivery
        self._delivery = self._transport = None  # no circle: nothing collects garbage while the clock runs
        return Exchange(
            outcome=verdict.outcome,
            ended_ns=self._ended_ns or time.monotonic_ns(),
            events=(*before, *self._events),
            sent_ns=delivery.sent_ns if delivery else None,
            sent_end_ns=delivery.sent_end_ns if delivery else None,
            connect_start_ns=self._dialled_ns,
            connected_ns=self._connected_ns,
            lateness_ns=delivery.lateness_ns() if delivery else (),
            status=verdict.status,
            error=verdict.error,
            t0_ns=delivery.t0_ns if delivery else None,
            owed_ns=delivery.owed_ns if delivery else None,
        )

    async def _dial(self, url: str, headers: dict[str, str]) -> None:
        """Connect and upgrade; a failure is the call's verdict."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await ws_connect(
                    lambda: self,
                    url,
                    # Its own limit, too: a dial that is cancelled from outside must not leave its socket open.
                    websocket_handshake_timeout=self._timeout_s + 1,
                    max_redirects=0,
                    logger_name=_silent,
                    extra_headers=headers,
                    use_aiofastnet=False,
                )
            if self._connected_ns is None:
                self._end(Verdict(Outcome.SERVER_DIED, error="the connection was closed during the handshake"))
        except TimeoutError:
            self._end(Verdict(Outcome.TIMEOUT, error=f"no connection within {self._timeout_s:g} s"))
        except WSHandshakeError as refusal:
            self._refused(refusal)
        except OSError as cause:
            self._end(Verdict(Outcome.REFUSED, error=str(cause) or type(cause).__name__))

    def _refused(self, refusal: WSHandshakeError) -> None:
        at_ns = time.monotonic_ns()
        if refusal.response is None:
            self._end(Verdict(Outcome.PROTOCOL, error=f"not a WebSocket: {refusal}"), at_ns)
            return
        status = int(refusal.response.status)
        outcome, words = outcome_of_status(status), words_of(refusal.raw_body or b"")
        kind = "at_capacity" if outcome is Outcome.REJECTED else "error"
        self._events.append(Event(at_ns, kind, data=json.dumps({"status": status, "words": words})))
        self._end(Verdict(outcome, status, words or f"status {status}"), at_ns)

    def _speak(self, t0_ns: int) -> None:
        transport = self._transport
        assert transport is not None
        kind = WSMsgType.BINARY if self._speech.binary else WSMsgType.TEXT
        self._delivery = Delivery(
            self._pacer,
            self._speech,
            self._options,
            t0_ns=t0_ns,
            write=partial(transport.send, kind),
            finish=self._say_end if self._options.eos == "commit" else None,
        )
        if self._blocked:
            self._delivery.pause()
        self._delivery.start()
        self._watch()

    def _say_end(self) -> None:
        for message in self._codec.end(self._request_id):
            self._say(message)
        self._watch()  # at pace 0 the result is owed from now on

    def _say(self, message: Message) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY, message)

    # What picows calls:

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._connected_ns = time.monotonic_ns()
        # What the kernel does not take at once is back-pressure, from the first byte on.
        transport.underlying_transport.set_write_buffer_limits(high=0)
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        at_ns = time.monotonic_ns()
        if self._verdict.done():
            return
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self._closed(at_ns, frame.get_payload_as_bytes())
        elif kind == WSMsgType.PONG:
            if self._pinged:
                self._end(Verdict(Outcome.NO_FINAL, error=f"{self._too_late()}, but the server is there"))
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION) and not self._pinged:
            if kind != WSMsgType.CONTINUATION:
                self._parts_binary = kind == WSMsgType.BINARY
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                message, self._parts = b"".join(self._parts), []
                self._hear(at_ns, message, binary=self._parts_binary)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        error = "the connection ended without a close frame"
        self._end(Verdict(Outcome.SERVER_DIED, _NO_CLOSE_FRAME, error))

    def pause_writing(self) -> None:
        self._blocked = True
        if self._delivery is not None:
            self._delivery.pause()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._delivery is not None:
            self._delivery.resume()

    # What ends a call:

    def _hear(self, at_ns: int, raw: bytes, *, binary: bool) -> None:
        self._heard_ns = at_ns
        ended = self._delivery is not None and self._delivery.ended
        try:
            message = raw if binary else raw.decode()
            heard = self._reader.read(message, ended=ended)
        except (ValueError, LookupError, TypeError, AttributeError) as cause:  # the edge: what a stranger wrote
            words = repr(raw[:_ERROR_TEXT_LIMIT])
            self._events.append(Event(at_ns, "garbage", data=json.dumps(words)))
            self._end(Verdict(Outcome.PROTOCOL, error=f"cannot be read ({cause}): {words}"), at_ns)
            return
        self._note(at_ns, heard, message)
        if heard.kind == "ready" and not self._ready.done():
            self._ready.set_result(None)
        if heard.outcome is not None:
            self._end(Verdict(heard.outcome, error=heard.error), at_ns)
        elif len(self._events) >= MOST_EVENTS:
            self._end(Verdict(Outcome.PROTOCOL, error=f"flooded: {MOST_EVENTS} messages for one utterance"), at_ns)

    def _note(self, at_ns: int, heard: Heard, message: Message) -> None:
        data = heard.data
        if data is None and isinstance(message, str):
            data = message
        self._events.append(Event(at_ns, heard.kind, heard.text, data))

    def _closed(self, at_ns: int, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        reason = payload[2:].decode(errors="replace")
        self._events.append(Event(at_ns, "closed", data=json.dumps({"code": code, "reason": reason})))
        self._end(Verdict(self._codec.outcome_of_close(code), code, reason or f"closed with {code}"), at_ns)

    def _deadline_ns(self) -> int:
        """When our patience ends, as things stand now."""
        delivery = self._delivery
        if delivery is None:
            return self._dialled_ns + self._timeout_ns
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
        delivery = self._delivery
        if self._pinged or self._blocked or delivery is None or not delivery.ended or self._transport is None:
            self._end(Verdict(Outcome.TIMEOUT, error=self._too_late()))
            return None
        # Frozen, or alive and silent? A server that still answers a ping owes us a final; nothing else counts any more.
        self._pinged = True
        self._transport.send_ping()
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
            self._verdict.set_result(verdict)
            if self._delivery is not None:
                self._delivery.stop()

    def _hang_up(self) -> None:
        if self._delivery is not None:
            self._delivery.stop()
        if not self._verdict.done():  # cancelled: the pacer must not look at us again
            self._verdict.cancel()
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return
        if self._blocked:
            transport.disconnect(graceful=False)
        else:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
