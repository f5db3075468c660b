"""One utterance over an engine: what is told, what is owed, what is left behind."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.voxtral.faults import CloseCode, WireFault
from servers.voxtral.interfaces import Delta, Done
from servers.voxtral.settings import STEP_BYTES
from tests.servers.voxtral.marked_speech import silence, speech, text
from tests.servers.voxtral.speech_fakes import FakeEngine, Notes, count, feed, hearing_of, say

SECOND = 32_000
"""Bytes."""


async def alone(engine: FakeEngine, pcm: bytes) -> tuple[list[str], Done]:
    """What the engine says when it is asked directly."""
    request = await engine.begin()
    await request.send(pcm)
    await request.finish()
    events = [event async for event in request.events()]
    assert isinstance(events[-1], Done)
    return [event.text for event in events if isinstance(event, Delta)], events[-1]


async def turn() -> None:
    """Everybody who can do something does it."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_one_request_is_told_unchanged() -> None:
    pcm = speech(range(10))
    deltas, done = await alone(FakeEngine(), pcm)
    hearing, _ = hearing_of(FakeEngine())
    notes = await say(hearing, pcm)
    assert notes.deltas == deltas and notes.done == (done.text, done.usage)
    assert notes.text == text(range(10))


@given(size=st.integers(1, 40_000).map(lambda n: 2 * n))
@settings(deadline=None, max_examples=25)
def test_messages_of_any_size_are_cut_to_a_second_at_most(size: int) -> None:
    async def run() -> None:
        engine = FakeEngine()
        notes = await say(hearing_of(engine)[0], speech(range(10)), size)
        assert notes.text == text(range(10))
        assert engine.requests[0].largest <= SECOND

    asyncio.run(run())


async def test_audio_goes_on_as_it_comes() -> None:
    engine, notes = FakeEngine(), Notes()
    utterance = hearing_of(engine)[0](notes)
    for at in range(1, 20):
        utterance.feed(silence(0.08))
        await turn()
        assert len(notes.deltas) == max(0, at - 1 - engine.delay_steps)  # one step is short of its look-ahead
    assert engine.requests[0].largest == STEP_BYTES
    utterance.abort()


async def test_an_utterance_without_audio_never_meets_the_engine() -> None:
    engine, notes = FakeEngine(), Notes()
    utterance = hearing_of(engine)[0](notes)
    await turn()
    utterance.finish()
    assert not notes.ended.is_set()  # never from within
    await notes.ended.wait()
    assert notes.text == "" and not engine.requests
    assert notes.done is not None and notes.done[1]["total_tokens"] == 0


async def test_no_more_than_the_lag_is_with_the_engine() -> None:
    engine, notes = FakeEngine(stall_at=0), Notes()
    utterance = hearing_of(engine, engine_lag_max_s=2.0)[0](notes)
    await feed(utterance, silence(3.0))
    await turn()
    heard_s = engine.requests[0]._ear.samples / 16_000
    assert heard_s == pytest.approx(2.0 + 5 * 0.08)  # what the delay needs is no lag
    assert utterance.owes
    utterance.abort()


async def test_what_is_owed() -> None:
    engine, notes = FakeEngine(), Notes()
    utterance = hearing_of(engine)[0](notes)
    owed = [utterance.owes]
    utterance.feed(silence(1.0))
    owed.append(utterance.owes)
    await turn()
    owed.append(utterance.owes)  # all that can be answered was
    utterance.finish()
    owed.append(utterance.owes)
    await notes.ended.wait()
    assert [*owed, utterance.owes] == [False, True, False, True, False]


async def test_a_full_queue_refuses_a_message_and_keeps_the_others() -> None:
    engine, notes = FakeEngine(begin_waits=asyncio.Event()), Notes()
    utterance = hearing_of(engine, inbound_queue_max=10)[0](notes)
    for number in range(10):
        utterance.feed(speech([number]))
    with pytest.raises(WireFault, match="10 messages") as fault:
        utterance.feed(speech([10]))
    assert (fault.value.code, fault.value.reason_code) == ("server_at_capacity", "inbound_queue_full")
    assert engine.begin_waits is not None
    engine.begin_waits.set()
    utterance.finish()
    await notes.ended.wait()
    assert notes.text == text(range(10)) and not notes.notices


async def test_beyond_its_seconds_the_oldest_audio_is_dropped_and_that_is_told() -> None:
    engine, notes = FakeEngine(begin_waits=asyncio.Event()), Notes()
    hearing, metrics = hearing_of(engine, inbound_audio_max_s=4.0)
    utterance = hearing(notes)
    for number in range(20):
        utterance.feed(speech([number]))
    assert not notes.notices  # never from within
    await turn()
    assert notes.notices == [("overload_drop", {"dropped_seconds": 4.0})]
    assert engine.begin_waits is not None
    engine.begin_waits.set()
    utterance.finish()
    await notes.ended.wait()
    assert notes.text == text(range(10, 20))
    assert count(metrics, "overload_dropped_seconds") == pytest.approx(4.0)


async def test_a_flood_of_drops_is_told_together() -> None:
    engine, notes = FakeEngine(begin_waits=asyncio.Event()), Notes()
    utterance = hearing_of(engine, inbound_queue_max=100, inbound_audio_max_s=0.5)[0](notes)
    for _ in range(40):
        utterance.feed(silence(0.5))
        await turn()
    assert engine.begin_waits is not None
    engine.begin_waits.set()
    utterance.finish()
    await notes.ended.wait()
    told_s = [details["dropped_seconds"] for _, details in notes.notices]
    assert len(told_s) == 2 and sum(told_s) == pytest.approx(39 * 0.5)


FAULTS: list[tuple[dict[str, object], str, CloseCode | None]] = [
    ({"refuse_at": 3}, "engine_error", None),
    ({"begin_refused": True}, "engine_error", None),
    ({"gone_at": 3}, "engine_unavailable", CloseCode.ENGINE_UNAVAILABLE),
    ({"begin_gone": True}, "engine_unavailable", CloseCode.ENGINE_UNAVAILABLE),
    ({"stall_at": 3}, "engine_stalled", None),
    ({"max_steps": 3}, "truncated", None),
]


@pytest.mark.parametrize(("fault", "reason_code", "closes"), FAULTS, ids=lambda value: str(value))
async def test_a_fault_of_the_engine_is_told_once_without_its_words(
    fault: dict[str, object], reason_code: str, closes: CloseCode | None
) -> None:
    engine = FakeEngine(**fault)  # type: ignore[arg-type]
    hearing, metrics = hearing_of(engine, engine_stall_s=0.1)
    notes = await say(hearing, silence(4.0))
    assert notes.fault is not None and notes.done is None
    assert (notes.fault.code, notes.fault.reason_code) == ("internal_error", reason_code)
    assert notes.fault.closes is closes and "vLLM" not in str(notes.fault.payload())
    assert count(metrics, "utterances_failed", reason_code=reason_code) == 1
    assert not engine.open


async def test_a_client_that_pauses_is_no_stall() -> None:
    engine, notes = FakeEngine(), Notes()
    utterance = hearing_of(engine, engine_stall_s=0.05)[0](notes)
    await feed(utterance, speech(range(10)))
    await asyncio.sleep(0.2)
    await feed(utterance, speech(range(10, 20)))
    utterance.finish()
    await notes.ended.wait()
    assert notes.text == text(range(20))


async def test_a_stall_behind_the_finish_is_one_too() -> None:
    hearing, _ = hearing_of(FakeEngine(stall_at=14), engine_stall_s=0.05)
    notes = await say(hearing, silence(0.5))
    assert notes.fault is not None and notes.fault.reason_code == "engine_stalled"


@given(turns=st.integers(0, 400), seed=st.integers(0, 3), finish=st.booleans())
@settings(deadline=None, max_examples=60)
def test_aborted_at_any_moment_it_leaves_nothing(turns: int, seed: int, finish: bool) -> None:
    async def run() -> None:
        engine, notes = FakeEngine(), Notes()
        hearing, _ = hearing_of(engine, segment_s=1.5, segment_max_s=2.5, overlap_s=0.5, max_connections=126)
        utterance = hearing(notes)
        feeding = asyncio.create_task(feed(utterance, speech(range(40), every_s=0.3 + 0.15 * seed), 6400))
        for _ in range(turns):
            await asyncio.sleep(0)
        if finish:
            utterance.finish()
            await asyncio.sleep(0)
        utterance.abort()
        told = len(notes.deltas)
        await asyncio.wait_for(feeding, 5)
        await turn()
        await hearing.close()
        assert all(request.aborts == 1 for request in engine.requests) and len(notes.deltas) == told
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert hearing._pool._spare == 1

    asyncio.run(run())


async def test_a_listener_may_abort_from_within() -> None:
    class Leaves(Notes):
        def heard(self, delta: str) -> None:
            super().heard(delta)
            if delta:
                utterance.abort()

    engine, notes = FakeEngine(), Leaves()
    hearing, _ = hearing_of(engine)
    utterance = hearing(notes)
    await feed(utterance, speech(range(5)))
    utterance.finish()
    await turn()
    await hearing.close()
    assert notes.deltas[-1] == " w0" and notes.done is None
    assert [request.aborts for request in engine.requests] == [1]
    assert asyncio.all_tasks() == {asyncio.current_task()}
