"""Idle and overlong sessions: what counts as activity, what is spared, how they are told."""

from __future__ import annotations

import asyncio
import time

import pytest

from servers.voxtral.session.watch import Watch
from tests.servers.voxtral.conftest import Call, Start, dial
from tests.servers.voxtral.marked_speech import silence, speech, text


def test_silence_counts_from_the_last_message_and_from_when_all_has_come() -> None:
    watch = Watch(idle_timeout_s=10, max_duration_s=0, at_s=100.0)
    assert watch.verdict(109.9, owes=False) is None
    assert watch.verdict(110.0, owes=False) == "idle_timeout"
    assert watch.verdict(110.0, owes=True) is None
    assert watch.verdict(119.9, owes=False) is None
    watch.touched_s = 115.0
    assert watch.verdict(124.9, owes=False) is None
    assert watch.verdict(125.0, owes=False) == "idle_timeout"


def test_duration_spares_nobody_and_zero_is_never() -> None:
    watch = Watch(idle_timeout_s=0, max_duration_s=50, at_s=0.0)
    watch.touched_s = 49.0
    assert watch.verdict(49.9, owes=False) is None
    assert watch.verdict(50.0, owes=True) == "max_duration"
    assert Watch(idle_timeout_s=0, max_duration_s=0, at_s=0.0).verdict(1e9, owes=False) is None


async def ends(call: Call) -> tuple[int, str, float]:
    """Close code, reason of its session_end, and after how many seconds."""
    began_s = time.monotonic()
    code = await call.end()
    assert call.rows[-1]["type"] == "session_end"
    return code, call.rows[-1]["payload"]["reason"], time.monotonic() - began_s


@pytest.mark.slow
async def test_a_client_that_says_nothing(start: Start) -> None:
    async with dial(start(idle_timeout_s=0.3)) as call:
        code, reason, _ = await ends(call)
    assert (code, reason) == (4000, "idle_timeout")


@pytest.mark.slow
async def test_a_start_that_is_fed_nothing_is_idle_and_gets_its_end(start: Start) -> None:
    async with dial(start(idle_timeout_s=0.3)) as call:
        await call.begin()
        code, reason, _ = await ends(call)
    assert (code, reason) == (4000, "idle_timeout")
    assert [row["payload"]["text"] for row in call.of("transcription.done")] == [""]


@pytest.mark.slow
async def test_any_text_message_is_activity_and_a_binary_one_is_not(start: Start) -> None:
    server = start(idle_timeout_s=0.5)

    async def knock(call: Call, frame: str | bytes) -> tuple[int, int]:
        """How many of 10 knocks were heard, and how it ended."""
        for number in range(10):
            if call.ws.close_code is not None:
                return number, call.ws.close_code
            await call.ws.send(frame)
            await asyncio.sleep(0.15)
        return 10, 0

    async with dial(server) as one, dial(server) as two, dial(server) as three:
        kept, wrong, binary = await asyncio.gather(
            knock(one, '{"type":"ping"}'), knock(two, "nonsense"), knock(three, b"\0\0")
        )
    assert kept == wrong == (10, 0)
    assert binary[0] < 9 and binary[1] == 4000


@pytest.mark.slow
async def test_whoever_is_owed_output_is_spared_until_it_has_come(start: Start) -> None:
    server = start(idle_timeout_s=0.3)
    server.hearing.holds_done = True
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.finish()
        await asyncio.sleep(0.9)
        server.hearing.release()
        assert await call.done() == text([1])
        code, reason, took_s = await ends(call)
    assert (code, reason) == (4000, "idle_timeout") and took_s > 0.1


@pytest.mark.slow
async def test_an_overlong_session_gets_what_comes_in_two_seconds(start: Start) -> None:
    server = start(max_connection_duration_s=0.5)
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1, 2]))
        code, reason, _ = await ends(call)
    assert (code, reason) == (4003, "max_duration")
    assert [row["payload"]["text"] for row in call.of("transcription.done")] == [text([1, 2])]


@pytest.mark.slow
async def test_what_does_not_come_in_two_seconds_is_cancelled(start: Start) -> None:
    server = start(max_connection_duration_s=0.3)
    server.hearing.is_mute = True
    async with dial(server) as call:
        await call.begin()
        await call.say(silence(0.4))
        code, reason, took_s = await ends(call)
    assert (code, reason) == (4003, "max_duration") and 1.9 < took_s < 10
    assert [row["payload"] for row in call.of("cancelled")] == [{"reason": "max_duration"}]
    assert not server.hearing.living
