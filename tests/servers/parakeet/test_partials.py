"""The text of a chunk that is still open: it grows, is never taken for a result, and never delays one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.servers.parakeet.conftest import Call, Start, dial
from tests.servers.parakeet.fake import POISON, say, silence, text_of
from tests.servers.parakeet.test_session import talk, until_flushed
from tests.waiting import until

pytestmark = pytest.mark.slow


async def speak_slowly(call: Call, *numbers: int) -> None:
    """So that each word is heard before the next."""
    for number in numbers:
        await call.say(say(number))
        await asyncio.sleep(0.2)


def partials(call: Call) -> list[str]:
    return [row["partial"] for row in call.rows if "partial" in row]


async def test_an_open_chunk_is_told_as_it_grows(start: Start) -> None:
    async with dial(start(partials_ms=300)) as call:
        await speak_slowly(call, 1, 2, 3, 4, 5)
        await until_flushed(call)
    texts = partials(call)
    assert len(texts) >= 3
    assert all(text_of(1, 2, 3, 4, 5).startswith(text.removesuffix("-")) for text in texts)
    assert [len(text) for text in texts] == sorted(len(text) for text in texts)
    assert call.texts == [text_of(1, 2, 3, 4, 5)] and call.queued == 1
    assert all(set(row) == {"partial", "start", "end"} for row in call.rows if "partial" in row)


async def test_none_is_sent_unless_asked_for(start: Start) -> None:
    async with dial(start()) as call:
        await speak_slowly(call, 1, 2, 3)
        await until_flushed(call)
    assert partials(call) == []


async def test_each_chunk_has_its_own_and_none_after_its_result(start: Start) -> None:
    async with dial(start(partials_ms=200)) as call:
        for turn in ((1, 2, 3), (4, 5, 6)):
            await speak_slowly(call, *turn)
            await call.say(silence(0.7))
            while len(call.texts) < turn[0] // 3 + 1:
                await call.hear()
        await until_flushed(call)
    kinds = ["partial" if "partial" in row else row.get("status", "result") for row in call.rows]
    cut = kinds.index("result") + 1
    assert kinds[:cut].count("partial") >= 2 and kinds[cut:].count("partial") >= 2
    assert all("w4" in text for text in partials(call)[kinds[:cut].count("partial") :])
    assert kinds[cut - 2 : cut] == ["queued", "result"] and kinds[-3:] == ["queued", "result", "flushed"]


async def test_one_at_a_time_and_none_for_a_chunk_that_is_closed(start: Start) -> None:
    server = start(partials_ms=100)
    server.model.gate.clear()
    async with dial(server) as call:
        await speak_slowly(call, 1, 2, 3, 4)
        await until(server.model.entered.is_set)
        assert server.status()["queue_depth"] == 0  # one is with the model, no second one waits
        await call.flush()
        await call.say(silence(0.1))
        await until(lambda: server.status()["queue_depth"] == 1)  # the chunk itself
        server.model.gate.set()
        await until_flushed(call)
    assert partials(call) == [] and call.texts == [text_of(1, 2, 3, 4)]


async def test_while_a_batch_is_in_line_there_are_none(start: Start) -> None:
    server = start(partials_ms=100, batch_size=1)
    server.model.gate.clear()
    async with dial(server) as call, dial(server) as first, dial(server) as second:
        await first.say(talk((1,)))
        await until(server.model.entered.is_set)
        await second.say(talk((2,)))
        await until(lambda: server.status()["queue_depth"] == 2)  # the two chunks; the model has the first's partial
        await speak_slowly(call, 3, 4, 5)
        await asyncio.sleep(0.1)
        assert server.status()["queue_depth"] == 2
        server.model.gate.set()
        assert (await second.result())["text"] == "w2"


async def test_a_failed_partial_is_nothing_and_the_chunk_says_why(start: Start) -> None:
    async with dial(start(partials_ms=200)) as call:
        await speak_slowly(call, 1, POISON, 2)
        await until_flushed(call)
    assert [row["code"] for row in call.rows if "error" in row] == ["inference_failed"]
    assert all(text.startswith("w1") for text in partials(call))


async def test_the_trace_tells_them_from_chunks(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    server = start(partials_ms=200, trace_path=trace)
    async with dial(server, additional_headers={"X-Request-ID": "r-5"}) as call:
        await speak_slowly(call, 1, 2, 3)
        await until_flushed(call)
    await until(lambda: '"sent"' in trace.read_text())
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    ends = [row["request_id"] for row in rows if row["event"] == "step_end"]
    assert ends.count("r-5") == 1 and ends.count("r-5/partial") == len(partials(call)) > 0
