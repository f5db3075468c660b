"""Both Kyutai clients against the server itself around a fake model: tones are letters, so each text is known."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import numpy as np
import pytest

from servers.common.interfaces import Audio
from tests.contract.conftest import Calls
from tests.servers.kyutai.conftest import KEY, Running, Start, clean_environment, start
from tests.servers.kyutai.fake import POISON, begins_s, say, silence
from tests.waiting import until
from yapbench import clients
from yapbench.clients.interface import Exchange
from yapbench.clients.session import Session
from yapbench.corpus import Utterance
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import Outcome

__all__ = ["clean_environment", "start"]

pytestmark = pytest.mark.slow

RETRIES = clients.CODECS["kyutai"].retries
every_wire = pytest.mark.parametrize("wire", ["kyutai", "kyutai_json"])


async def stream(
    calls: Calls, server: Running, wire: str, audio: Audio, *, request_id: str = "r-1", key: str = KEY, **options: Any
) -> Exchange:
    given = StreamOptions(**{"pace": 10.0, **options})
    environment = {"KYUTAI_API_KEY": key}
    url = f"http://{server.address}"
    client = clients.build(wire, url, timeout_s=10, environment=environment, stream=given, pacer=calls.pacer)
    utterance = Utterance(id="u", duration_s=len(audio) / client.sample_rate_hz)
    payload = client.prepare(utterance, audio)
    return await client.exchange(payload, request_id, intended_ns=time.monotonic_ns())


def last_text(exchange: Exchange) -> str | None:
    return next((event.text for event in reversed(exchange.events) if event.kind == "final"), None)


@every_wire
async def test_words_come_while_they_are_spoken_and_the_last_one_is_there(
    calls: Calls, start: Start, wire: str
) -> None:
    exchange = await stream(calls, start(), wire, say("how are you", after=0))
    assert (exchange.outcome, exchange.error, last_text(exchange)) == (Outcome.OK, None, "how are you")
    partials = [event.text for event in exchange.events if event.kind == "partial"]
    assert partials[-1] == "how are you" and "how" in partials


async def test_there_is_a_step_for_each_frame_and_times_for_each_word(calls: Calls, start: Start) -> None:
    audio = say("how are you")
    exchange = await stream(calls, start(), "kyutai", audio)
    rows = [json.loads(event.data or "{}") for event in exchange.events if event.kind != "closed"]
    steps = [row for row in rows if row["type"] == "Step"]
    assert [row["step_idx"] for row in steps] == list(range(1, len(audio) // 1920 + 1))
    assert all(len(row["prs"]) == 4 for row in steps)
    starts_s = [row["start_time"] for row in rows if row["type"] == "Word"]
    assert starts_s == pytest.approx(begins_s("how are you"))
    assert len([row for row in rows if row["type"] == "EndWord"]) == 3


@every_wire
async def test_as_fast_as_the_server_takes_it_nothing_is_lost(calls: Calls, start: Start, wire: str) -> None:
    text = " ".join(["one", "two", "three"] * 12)
    exchange = await stream(calls, start(delay_s=0.002), wire, say(text, after=0), pace=0)
    assert (exchange.outcome, last_text(exchange)) == (Outcome.OK, text)


@every_wire
async def test_more_callers_than_seats_are_all_served_in_the_end(calls: Calls, start: Start, wire: str) -> None:
    server = start(seats=4)
    texts = [f"{chr(97 + number % 26)}{chr(97 + number // 26)} end" for number in range(20)]
    found = await asyncio.gather(
        *(
            stream(calls, server, wire, say(text, after=0), pace=0, retries=RETRIES, request_id=f"r-{text}")
            for text in texts
        )
    )
    assert [last_text(one) for one in found] == texts
    assert {one.outcome for one in found} == {Outcome.OK}
    assert any(event.kind == "at_capacity" for one in found for event in one.events)
    assert server.free == 4


@every_wire
async def test_without_a_seat_or_with_a_wrong_key_it_is_turned_away(calls: Calls, start: Start, wire: str) -> None:
    server = start(seats=1)
    first = asyncio.create_task(stream(calls, server, wire, silence(25), pace=2))
    await until(lambda: not server.free)
    second = await stream(calls, server, wire, silence(5))
    wrong = await stream(calls, server, wire, silence(5), key="wrong", retries=RETRIES)
    assert (second.outcome, second.sent_ns, wrong.outcome, wrong.status) == (
        Outcome.REJECTED,
        None,
        Outcome.BAD_REQUEST,
        401,
    )
    assert (await first).outcome is Outcome.OK


async def test_a_conversation_has_a_transcript_for_each_utterance(calls: Calls, start: Start) -> None:
    """Silence pushes the last word out, markers tell the utterances apart, and the seat is given back at the end."""
    server, texts = start(seats=1), []
    session = Session(
        clients.CODECS["kyutai_marker"],
        f"http://{server.address}",
        request_id="r-1",
        timeout_s=10,
        environment={"KYUTAI_API_KEY": KEY},
        options=StreamOptions(pace=10),
        pacer=calls.pacer,
    )
    async with session:
        assert await session.open() is None
        for text in ("how are you", "well", "so am i"):
            audio = say(text, after=0)
            payload = session.prepare(Utterance(id="u", duration_s=len(audio) / 24_000), audio)
            exchange = await session.say(payload, intended_ns=time.monotonic_ns())
            assert exchange.outcome is Outcome.OK, exchange.error
            texts.append(last_text(exchange))
        assert await session.wait_closed(0.05) is None
    assert texts == ["how are you", "well", "so am i"]
    await until(lambda: server.free == 1)


async def test_a_step_that_fails_fails_its_utterance(calls: Calls, start: Start) -> None:
    audio = np.concatenate([say("how"), np.full(1920, POISON, np.float32), say("are")])
    exchange = await stream(calls, start(), "kyutai", audio)
    assert (exchange.outcome, exchange.status) == (Outcome.SERVER_ERROR, 1011)
    assert "failed" in (exchange.error or "")
