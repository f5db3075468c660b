"""Both Parakeet clients against the server itself around a fake model: tones are words, so each text is known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from servers.common.interfaces import Audio
from tests.contract.conftest import Calls
from tests.servers.parakeet.conftest import Running, Start, clean_environment, start
from tests.servers.parakeet.fake import DEADLY, POISON, say, silence, text_of
from yapbench import clients
from yapbench.clients.interface import Exchange
from yapbench.clients.session import Session
from yapbench.corpus import Utterance
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import Outcome

__all__ = ["clean_environment", "start"]

pytestmark = pytest.mark.slow

PACE = 10.0


def spoken(audio: Audio, *, end_s: float | None = None) -> Utterance:
    return Utterance(id="u", duration_s=len(audio) / 16_000, speech_end_s=end_s)


async def stream(
    calls: Calls, server: Running, audio: Audio, *, eos: str = "commit", end_s: float | None = None
) -> Exchange:
    options = StreamOptions(frame_ms=20, pace=PACE, eos=eos)  # type: ignore[arg-type]
    client = clients.build("parakeet", server.url, timeout_s=5, environment={}, stream=options, pacer=calls.pacer)
    payload = client.prepare(spoken(audio, end_s=end_s), audio)
    return await client.exchange(payload, "r-1", intended_ns=time.monotonic_ns())


async def upload(server: Running, audio: Audio) -> Exchange:
    client = clients.build("parakeet_upload", server.url, timeout_s=5, environment={})
    try:
        return await client.exchange(client.prepare(spoken(audio), audio), "r-1", intended_ns=time.monotonic_ns())
    finally:
        await client.close()


def last_text(exchange: Exchange) -> str | None:
    return exchange.events[-1].text


TWO = np.concatenate([say(3, 1), silence(0.9), say(4, 1, 5)])


async def test_two_chunks_are_one_transcript(calls: Calls, start: Start) -> None:
    exchange = await stream(calls, start(), TWO)
    assert (exchange.outcome, exchange.error) == (Outcome.OK, None)
    assert last_text(exchange) == text_of(3, 1, 4, 1, 5)
    assert [event.kind for event in exchange.events] == ["queued", "partial", "queued", "partial", "final"]


async def test_the_servers_own_vad_ends_an_utterance_that_is_not_flushed(calls: Calls, start: Start) -> None:
    exchange = await stream(calls, start(), TWO, eos="silence", end_s=len(TWO) / 16_000 - 0.1)
    assert (exchange.outcome, last_text(exchange)) == (Outcome.OK, text_of(3, 1, 4, 1, 5))
    assert exchange.owed_ns is not None
    waited_s = PACE * (exchange.ended_ns - exchange.owed_ns) / 1e9
    assert waited_s > 0.4  # of silence, which the server needs to hear


async def test_partials_grow_into_the_text(calls: Calls, start: Start) -> None:
    exchange = await stream(calls, start(partials_ms=20), say(3, 1, 4, 1, 5, 9, 2, 6))
    texts = [event.text for event in exchange.events if event.text]
    assert last_text(exchange) == text_of(3, 1, 4, 1, 5, 9, 2, 6)
    words = [len(text.split()) for text in texts]
    assert len(set(words)) > 2 and words == sorted(words)


@pytest.mark.parametrize("word", [POISON, DEADLY])
async def test_a_chunk_that_fails_fails_its_utterance(calls: Calls, start: Start, word: int) -> None:
    exchange = await stream(calls, start(), say(3, word))
    assert (exchange.outcome, (exchange.error or "").partition(":")[0]) == (Outcome.SERVER_ERROR, "inference_failed")


async def test_without_a_seat_it_is_turned_away(calls: Calls, start: Start) -> None:
    server = start(max_sessions=1)
    async with session(calls, server) as first:
        assert await first.open() is None
        exchange = await stream(calls, server, say(3))
    assert exchange.outcome is Outcome.REJECTED


def session(calls: Calls, server: Running) -> Session:
    return Session(
        clients.CODECS["parakeet"],
        server.url,
        request_id="r-1",
        timeout_s=5,
        environment={},
        options=StreamOptions(frame_ms=20, pace=PACE),
        pacer=calls.pacer,
    )


async def test_a_conversation_has_a_transcript_for_each_utterance(calls: Calls, start: Start) -> None:
    async with session(calls, start()) as talk:
        assert await talk.open() is None
        texts = []
        for audio in (say(3, 1), silence(0.4), say(4)):
            exchange = await talk.say(talk.prepare(spoken(audio), audio), intended_ns=time.monotonic_ns())
            assert exchange.outcome is Outcome.OK, exchange.error
            texts.append(last_text(exchange))
        assert await talk.wait_closed(0.05) is None
    assert texts == [text_of(3, 1), "", text_of(4)]


async def test_a_file_brings_its_text(start: Start) -> None:
    exchange = await upload(start(), TWO)
    assert (exchange.outcome, exchange.status, exchange.error) == (Outcome.OK, 200, None)
    assert last_text(exchange) == text_of(3, 1, 4, 1, 5)
    assert exchange.owed_ns == exchange.sent_end_ns


async def test_a_file_that_fails_and_one_too_long_say_so(start: Start) -> None:
    server = start(max_file_s=1)
    assert (await upload(server, say(POISON))).outcome is Outcome.SERVER_ERROR
    long = await upload(server, TWO)
    assert (long.outcome, long.status) == (Outcome.BAD_REQUEST, 413)
