"""Ask a running Smart Turn server about a few clips, one after another: for a first look, not for measuring."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from uuid import uuid4

from yapbench.clients.smart_turn import SmartTurnClient
from yapbench.corpus import Corpus, Utterance
from yapbench.errors import ServerError
from yapbench.schema import Outcome


@dataclass(frozen=True)
class TurnAnswer:
    """One clip with what the model said of it."""

    utterance: Utterance
    probability: float
    complete: bool
    latency_ms: float


async def ask_turns(url: str, corpus: Corpus, *, clips: int, timeout_s: float = 10.0) -> list[TurnAnswer]:
    """Answers for the first `clips` complete and the first `clips` cut utterances of a corpus.

    Raises ServerError with the server's own words when a clip is not answered.
    """
    chosen = [u for label in ("complete", "cut") for u in [c for c in corpus if c.label == label][:clips]]
    client = SmartTurnClient(url, timeout_s=timeout_s, environment={})
    answers = []
    try:
        await client.connect()
        for utterance in chosen:
            body = client.prepare(utterance, utterance.audio(client.sample_rate_hz))
            started_ns = time.monotonic_ns()
            exchange = await client.exchange(body, uuid4().hex, intended_ns=started_ns)
            if exchange.outcome != Outcome.OK:
                raise ServerError(f"{utterance.id}: {exchange.outcome}: {exchange.error}")
            answer = json.loads(exchange.events[-1].data or "{}")
            latency_ms = (exchange.ended_ns - started_ns) / 1e6
            answers.append(TurnAnswer(utterance, answer["probability"], answer["prediction"] == 1, latency_ms))
    finally:
        await client.close()
    return answers
