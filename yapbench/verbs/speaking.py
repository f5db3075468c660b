"""One utterance after another to a streaming server, each alone: for talking to it and for probing it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import uuid4

import uvloop

from yapbench import clients
from yapbench.clients.interface import Client, Exchange
from yapbench.clients.line import Observer
from yapbench.clients.session import Session
from yapbench.clients.websocket import StreamClient
from yapbench.corpus import Utterance
from yapbench.pacing.streaming import StreamOptions
from yapbench.pacing.timer import Pacer
from yapbench.streams.times import Stream
from yapbench.verbs import spoken
from yapbench.verbs.options import Options
from yapbench.verbs.target import Target

T = TypeVar("T")


@dataclass(frozen=True)
class Spoken:
    """One utterance and what became of it."""

    utterance: Utterance
    request_id: str
    exchange: Exchange
    stream: Stream

    @classmethod
    def of(
        cls, utterance: Utterance, request_id: str, exchange: Exchange, options: StreamOptions, began_ns: int
    ) -> Spoken:
        """With its stamps as the measures read them."""
        stream = spoken.stream_of(utterance, exchange, options, intended_ns=began_ns)
        return cls(utterance, request_id, exchange, stream)

    def record(self, *, full_text: bool) -> dict[str, Any]:
        """As stored."""
        facts = {"level": 1.0, "phase": "steady", "stream": 0}
        facts |= {"utterance_id": self.utterance.id, "request_id": self.request_id}
        facts |= {"status": self.exchange.status, "error": self.exchange.error}
        return spoken.record(self.stream, facts, full_text=full_text)


@contextmanager
def speaker(
    server: Target, options: Options, observer: Observer | None = None
) -> Iterator[Callable[[Utterance], Spoken]]:
    """A function that speaks one utterance on a connection of its own and waits. Not inside an event loop."""
    stream = options.stream(server.client)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pacer = Pacer()
        client = _client(server, options, stream, pacer, observer)
        runner.run(client.connect())

        async def speak(utterance: Utterance) -> Spoken:
            payload = client.prepare(utterance, utterance.audio(client.sample_rate_hz))
            request_id, began_ns = uuid4().hex, time.monotonic_ns()
            exchange = await client.exchange(payload, request_id, intended_ns=began_ns)
            return Spoken.of(utterance, request_id, exchange, stream, began_ns)

        try:
            yield lambda utterance: runner.run(speak(utterance))
        finally:
            runner.run(_close(client, pacer))


def in_session(
    server: Target,
    options: Options,
    work: Callable[[Session], Coroutine[Any, Any, T]],
    observer: Observer | None = None,
) -> T:
    """What `work` makes of one connection, which is closed afterwards. Not inside an event loop."""

    async def run() -> T:
        pacer = Pacer()
        try:
            session = Session(
                clients.CODECS[server.client],
                server.url,
                request_id=uuid4().hex,
                timeout_s=options.timeout,
                environment=server.secrets,
                options=options.stream(server.client),
                pacer=pacer,
                observer=observer,
            )
            async with session:
                return await work(session)
        finally:
            pacer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def _client(
    server: Target, options: Options, stream: StreamOptions, pacer: Pacer, observer: Observer | None
) -> Client[Any]:
    """Of the server's wire. An upload has nothing to observe."""
    if clients.uploads(server.client):
        return clients.build(server.client, server.url, timeout_s=options.timeout, environment=server.secrets)
    codec = clients.CODECS[server.client]
    return StreamClient(
        codec,
        server.url,
        timeout_s=options.timeout,
        environment=server.secrets,
        options=replace(stream, retries=codec.retries),
        pacer=pacer,
        observer=observer,
    )


async def _close(client: Client[Any], pacer: Pacer) -> None:
    await client.close()
    pacer.close()
