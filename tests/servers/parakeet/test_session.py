"""What a client of /ws hears that keeps to the wire, on a real socket against fake models."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import numpy as np
import pytest

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.interfaces import Audio
from tests.servers.parakeet.conftest import Call, Running, Start, dial
from tests.servers.parakeet.fake import say, silence, text_of
from tests.waiting import until

pytestmark = pytest.mark.slow

FLUSHED = {"status": "flushed"}


def talk(*turns: tuple[int, ...], pause_s: float = 0.7) -> Audio:
    """Sentences, each followed by a pause that closes its chunk."""
    return np.concatenate([part for turn in turns for part in (say(*turn), silence(pause_s))])


async def until_flushed(call: Call) -> None:
    await call.flush()
    while await call.hear() != FLUSHED:
        pass


@pytest.fixture
def server(start: Start) -> Running:
    return start()


async def test_each_turn_is_queued_and_answered_once(server: Running) -> None:
    async with dial(server) as call:
        await call.say(talk((1, 2, 3), (4, 5)))
        await until_flushed(call)
    assert call.texts == [text_of(1, 2, 3), text_of(4, 5)]
    assert call.queued == 2 and len(call.rows) == 5
    first = next(row for row in call.rows if "text" in row)
    assert (first["confidence"], first["words"], first["closed_by"]) == (0.9, [0.9] * 3, "silence")


async def test_times_are_those_of_the_stream(server: Running) -> None:
    async with dial(server) as call:
        await call.say(np.concatenate([silence(3.0), talk((7, 8)), silence(2.0), talk((9,))]))
        await until_flushed(call)
    results = [row for row in call.rows if "text" in row]
    starts = [word["start"] for row in results for word in row["timestamps"]]
    assert np.allclose(starts, [3.0, 3.3, 6.3], atol=0.03)
    assert all(
        row["start"] <= word["start"] < word["end"] <= row["end"] for row in results for word in row["timestamps"]
    )


@pytest.mark.parametrize("portion", [3, 640, 5311, 10**7])
async def test_any_frames_give_the_same_results(server: Running, portion: int) -> None:
    audio = talk((1, 2), (3,)) if portion > 3 else talk((1, 2), pause_s=0.6)
    async with dial(server) as call:
        await call.say(audio, portion=portion)
        await until_flushed(call)
    assert " ".join(call.texts) == (text_of(1, 2, 3) if portion > 3 else text_of(1, 2))


async def test_a_flush_closes_the_open_chunk(server: Running) -> None:
    async with dial(server) as call:
        await call.say(say(5, 6))
        await until_flushed(call)
        assert next(row for row in call.rows if "text" in row)["closed_by"] == "flush"
        await call.say(say(7))
        await until_flushed(call)
        await until_flushed(call)
    assert call.texts == [text_of(5, 6), text_of(7)]
    assert call.rows.count(FLUSHED) == 3


async def test_a_flush_is_told_after_the_answers_that_it_closed(start: Start) -> None:
    server = start(delay_s=0.1)
    async with dial(server) as call:
        await call.flush()
        await call.say(talk((1,), (2,)))
        await call.flush()
        await call.say(talk((3,)))
        while len(call.texts) < 3:
            await call.hear()
    shape = ["".join(sorted(row.values())) if "status" in row else row["text"] for row in call.rows]
    assert shape[0] == "flushed" and shape.index("flushed", 1) > shape.index("w2")


async def test_long_speech_is_cut_and_no_word_of_it_is_lost(start: Start) -> None:
    server = start(max_speech_ms=3000)
    numbers = tuple(range(40))
    async with dial(server) as call:
        await call.say(say(*numbers))
        await until_flushed(call)
    assert " ".join(call.texts) == text_of(*numbers)
    assert len(call.texts) >= 4
    assert server.model.longest_s <= 3.0


async def test_silence_and_clicks_make_no_chunk(server: Running) -> None:
    click = say(3)[:480]
    async with dial(server) as call:
        await call.say(np.concatenate([silence(2.0), click, silence(2.0)]))
        await until_flushed(call)
    assert call.rows == [FLUSHED] and server.model.batches == []


async def test_minutes_sent_at_once_come_back_whole(start: Start) -> None:
    server = start(batch_size=16)
    turn = talk(tuple(range(30)), pause_s=1.0)
    count = round(200 * SAMPLE_RATE_HZ / len(turn))
    async with dial(server) as call:
        sending = asyncio.create_task(call.say(np.concatenate([turn] * count), portion=64_000))
        while len(call.texts) < count:
            await call.hear(within_s=30)
        await sending
    assert call.texts == [text_of(*range(30))] * count
    assert server.status()["rejected"] == 0


async def test_a_closing_client_drops_what_is_queued(start: Start) -> None:
    server = start(batch_size=1)
    async with dial(server) as call, dial(server) as other:
        server.model.gate.clear()
        await other.say(talk((1,)))
        await until(server.model.entered.is_set)
        await call.say(talk((2,), (3,)))
        await until(lambda: server.status()["queue_depth"] == 2)
        await call.ws.close()
        await until(lambda: server.status()["queue_depth"] == 0)
        assert server.free == 127
        server.model.gate.set()
        assert (await other.result())["text"] == "w1"
    assert len(server.model.batches) == 1 and server.status()["cancelled"] == 2


async def test_each_chunk_leaves_its_spans(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    server = start(trace_path=trace)
    async with dial(server, additional_headers={"X-Request-ID": "r-1"}) as call:
        for _ in range(2):
            await call.say(talk((1, 2)))
            await call.result()
        ended_s = time.monotonic()
    await until(lambda: trace.read_text().count('"sent"') == 2)
    rows = [row for row in map(json.loads, trace.read_text().splitlines()) if row.get("request_id") == "r-1"]
    events = ["received", "queued", "step_start", "step_end", "sent"]
    for number in range(2):
        stamps = [[row["at_s"] for row in rows if row["event"] == event][number] for event in events]
        assert stamps == sorted(stamps) and ended_s - 60 < stamps[0] and stamps[-1] < ended_s


async def test_a_chunk_is_received_when_its_last_sample_comes(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    server = start(trace_path=trace)
    async with dial(server) as call:
        await call.say(say(1))
        await call.say(silence(0.15))  # with it, all of the chunk and its padding
        await asyncio.sleep(0.5)
        await call.say(silence(0.5))
        await call.result()
    await until(lambda: "sent" in trace.read_text())
    stamps = {row["event"]: row["at_s"] for row in map(json.loads, trace.read_text().splitlines()) if "at_s" in row}
    assert stamps["queued"] - stamps["received"] > 0.45
