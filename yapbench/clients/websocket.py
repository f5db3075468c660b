"""Streams of every wire: one client for all codecs, each utterance a connection of its own.

Knows keys, refusals and when to try again; the connection itself is call.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

from yapbench.clients.call import Call
from yapbench.clients.codec import Codec
from yapbench.clients.framing import encode
from yapbench.clients.interface import Audio, Event, Exchange
from yapbench.clients.line import Observer
from yapbench.clients.smart_turn import BEARER, REQUEST_ID
from yapbench.corpus import Utterance
from yapbench.pacing.streaming import Speech, StreamOptions
from yapbench.pacing.timer import SECOND_NS, Pacer
from yapbench.schema import Outcome


class StreamClient:
    """One caller."""

    def __init__(
        self,
        codec: Codec,
        url: str,
        *,
        timeout_s: float,
        environment: Mapping[str, str],
        options: StreamOptions,
        pacer: Pacer,
        observer: Observer | None = None,
    ) -> None:
        """`observer` is told of everything that happens on the connections; without one that costs nothing."""
        self._codec, self._options, self._pacer, self._timeout_s = codec, options, pacer, timeout_s
        self._url, self._environment, self._observer = url_of(codec, url), environment, observer
        self.sample_rate_hz = codec.sample_rate_hz

    def prepare(self, utterance: Utterance, audio: Audio) -> Speech:
        """Every frame as the wire carries it. Raises UsageError for frames of no whole number of samples."""
        return encode(self._codec, self._options, audio, speech_end_s=utterance.speech_end_s)

    async def connect(self) -> None:
        """Nothing: each utterance dials for itself."""

    async def exchange(self, payload: Speech, request_id: str, *, intended_ns: int) -> Exchange:
        """Dial, speak, wait for the result and hang up; see `Client.exchange`. Refusals are tried again if asked for.

        Attempts that were refused leave their events before those of the last one.
        """
        refusals: tuple[Event, ...] = ()
        jitter = random.Random(request_id)
        headers = headers_of(self._codec, self._environment, request_id)
        for attempt in range(self._options.retries + 1):
            call = Call(
                self._codec,
                payload,
                request_id,
                self._options,
                self._timeout_s,
                self._pacer,
                observer=self._observer,
            )
            exchange = await call.run(self._url, headers, intended_ns, refusals)
            if exchange.outcome is not Outcome.REJECTED or attempt == self._options.retries:
                break
            refusals = exchange.events
            await self._pacer.until(time.monotonic_ns() + round(backoff_s(attempt, jitter) * SECOND_NS))
        return exchange

    async def close(self) -> None:
        """Nothing is kept open."""


def url_of(codec: Codec, url: str) -> str:
    """Where the wire is on the server at `url`, http(s): the same with ws(s) and the codec's path."""
    return f"ws{url.removeprefix('http').rstrip('/')}{codec.path}"


def headers_of(codec: Codec, environment: Mapping[str, str], request_id: str) -> dict[str, str]:
    """Headers of the upgrade: the request's id, and the keys that the environment has."""
    key = environment.get(codec.key_variable, "").split(",")[0].strip()  # a server may have several
    return {REQUEST_ID: request_id, **codec.headers(key=key, bearer=environment.get(BEARER, "").strip())}


def backoff_s(attempt: int, jitter: random.Random) -> float:
    """How long to wait after refusal number `attempt`: 0.2 s, doubling to 5 s, and up to 0.2 s more by chance."""
    return min(5.0, 0.2 * 2.0 ** min(attempt, 10)) + jitter.uniform(0.0, 0.2)
