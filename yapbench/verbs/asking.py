"""One clip after another to a running server, each with its answer: for talking to it and for checking it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from yapbench import clients, turns
from yapbench.clients import Client
from yapbench.corpus import Utterance
from yapbench.schema import Outcome
from yapbench.verbs.target import Target


@dataclass(frozen=True)
class Answer:
    """What became of one clip."""

    utterance: Utterance
    outcome: Outcome
    latency_ms: float
    message: Mapping[str, Any]
    """The server's own answer; {} where it gave none."""
    error: str

    @property
    def probability(self) -> float | None:
        """That the turn is complete, when it was answered."""
        return float(self.message["probability"]) if self.outcome is Outcome.OK else None

    @property
    def label(self) -> str:
        """What the server decided: "complete", "cut", or "" without an answer."""
        if self.outcome is not Outcome.OK:
            return ""
        return turns.COMPLETE if self.message["prediction"] == 1 else "cut"


@contextmanager
def asker(server: Target, *, timeout_s: float) -> Iterator[Callable[[Utterance], Answer]]:
    """A function that asks about one clip and waits. Not for a thread that runs an event loop."""
    with asyncio.Runner() as runner:
        client = clients.build(server.client, server.url, timeout_s=timeout_s, environment=server.secrets)
        try:
            yield lambda utterance: runner.run(_ask(client, utterance))
        finally:
            runner.run(client.close())


async def _ask(client: Client[Any], utterance: Utterance) -> Answer:
    body = client.prepare(utterance, utterance.audio(client.sample_rate_hz))
    started_ns = time.monotonic_ns()
    exchange = await client.exchange(body, uuid4().hex, intended_ns=started_ns)
    message = turns.answer([{"kind": one.kind, "data": one.data} for one in exchange.events]) or {}
    latency_ms = (exchange.ended_ns - started_ns) / 1e6
    return Answer(utterance, exchange.outcome, latency_ms, message, exchange.error or "")
