"""Long utterances go through several requests, and none of it is to be seen in their text."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers.voxtral.marked_speech import LOWEST, MARK_SAMPLES, mark, numbers_of, silence, speech, text, word
from tests.servers.voxtral.speech_fakes import FakeEngine, Mark, Notes, count, feed, hearing_of, say

pytestmark = pytest.mark.slow

WORDS = ("very", "very", "very", "no", "one", "two,")


def uneven(numbers: range, *, seed: int, least_s: float = 0.1, most_s: float = 1.2, noise: int = 0) -> bytes:
    """Marked speech whose gaps are drawn: some long enough for a pause, most not."""
    draw = random.Random(seed)
    return b"".join(
        speech([number], every_s=draw.choice([draw.uniform(least_s, 0.35), draw.uniform(least_s, most_s)]), noise=noise)
        for number in numbers
    )


async def transcript(engine: FakeEngine, pcm: bytes, size: int = 2560, **knobs: object) -> Notes:
    return await say(hearing_of(engine, **knobs)[0], pcm, size)


@given(
    seed=st.integers(0, 10**6),
    delay=st.sampled_from([1, 5, 12]),
    size=st.sampled_from([640, 2560, 5000, 32_000]),
    segment_s=st.floats(2.0, 8.0),
    slack_s=st.floats(0.0, 3.0),
    noise=st.sampled_from([0, 300, 1900]),
)
@settings(deadline=None, max_examples=40)
def test_exact_whatever_is_said_and_however_it_is_cut(
    seed: int, delay: int, size: int, segment_s: float, slack_s: float, noise: int
) -> None:
    engine = FakeEngine(delay_steps=delay)
    knobs = {
        "segment_s": segment_s,
        "segment_max_s": segment_s + slack_s,
        "overlap_s": 0.5 + slack_s,
        "transcription_delay_ms": delay * 80,
    }
    notes = asyncio.run(transcript(engine, uneven(range(60), seed=seed, noise=noise), size, **knobs))
    assert notes.text == text(range(60))
    assert len(engine.requests) > 2 and not engine.open and engine.most_open <= 3


@given(seed=st.integers(0, 10**6), most_s=st.sampled_from([0.3, 1.2]))
@settings(deadline=None, max_examples=30)
def test_exact_where_words_are_said_again_and_again(seed: int, most_s: float) -> None:
    draw = random.Random(seed)
    said = [draw.choice(WORDS) for _ in range(60)]
    engine = FakeEngine(says=lambda mark: f" {said[mark.number]}")
    notes = asyncio.run(transcript(engine, uneven(range(60), seed=seed, most_s=most_s), segment_s=3, segment_max_s=4))
    assert notes.text.split() == said and len(engine.requests) > 2


@given(seed=st.integers(0, 10**6), piece_chars=st.integers(1, 3), most_s=st.sampled_from([0.4, 1.2]))
@settings(deadline=None, max_examples=30)
def test_exact_where_words_come_in_pieces(seed: int, piece_chars: int, most_s: float) -> None:
    engine = FakeEngine(piece_chars=piece_chars)
    pcm = uneven(range(60), seed=seed, least_s=0.32, most_s=most_s)
    notes = asyncio.run(transcript(engine, pcm, segment_s=3, segment_max_s=5))
    assert notes.text == text(range(60)) and len(engine.requests) > 2


@given(seed=st.integers(0, 10**6), most_s=st.sampled_from([0.3, 1.2]))
@settings(deadline=None, max_examples=30)
def test_what_is_misheard_near_a_cut_is_heard_well_on_its_other_side(seed: int, most_s: float) -> None:
    """The beginning of a request lacks what was before, its end what was to come."""

    def says(mark: Mark) -> str:
        is_near = (mark.request > 1 and mark.step <= 6) or (mark.is_padded and mark.number < 50)
        return " hm" if is_near else word(mark.number)

    engine = FakeEngine(says=says)
    notes = asyncio.run(transcript(engine, uneven(range(60), seed=seed, most_s=0.3), segment_s=3, segment_max_s=3))
    told = notes.text.split()
    assert [int(one[1:]) for one in told if one != "hm" and int(one[1:]) < 50] == list(range(50))
    assert "hm" not in told[:50]


async def test_a_pause_is_where_it_goes_on_and_nothing_is_said_twice() -> None:
    engine = FakeEngine()
    hearing, metrics = hearing_of(engine, segment_s=4, segment_max_s=100)
    notes = await say(hearing, speech(range(60), every_s=0.6))
    assert notes.text == text(range(60))
    assert count(metrics, "rollovers", kind="pause") == len(engine.requests) - 1 >= 7
    assert count(metrics, "rollovers", kind="length") == 0


async def test_where_no_pause_comes_it_goes_on_all_the_same() -> None:
    engine = FakeEngine()
    hearing, metrics = hearing_of(engine, segment_s=4, segment_max_s=6)
    notes = await say(hearing, speech(range(120), every_s=0.3))
    assert notes.text == text(range(120))
    assert count(metrics, "rollovers", kind="length") == len(engine.requests) - 1 >= 6
    longest_s = max(request._ear.samples for request in engine.requests) / 16_000
    assert longest_s <= 6 + 1.1


async def test_each_step_is_told_once_over_all_seams_but_those_in_doubt() -> None:
    pcm = speech(range(60), every_s=0.6)
    notes = await transcript(FakeEngine(), pcm, segment_s=4, segment_max_s=100)
    steps = len(pcm) / 2560
    assert steps - 10 <= len(notes.deltas) <= steps + 11


async def test_usage_is_the_sum() -> None:
    engine = FakeEngine()
    notes = await transcript(engine, speech(range(40), every_s=0.6), segment_s=4)
    assert notes.done is not None
    assert notes.done[1]["completion_tokens"] == sum(request.steps for request in engine.requests)
    assert notes.done[1]["prompt_tokens"] == 38 * len(engine.requests)


async def test_without_a_spare_seat_the_old_request_goes_first() -> None:
    engine, said = FakeEngine(), speech(range(40), every_s=0.3)
    hearing, metrics = hearing_of(engine, segment_s=3, segment_max_s=4, max_connections=126)
    assert hearing._pool.take_seat() and not hearing._pool.take_seat()
    notes = await say(hearing, said)
    assert notes.text == text(range(40)) and len(engine.requests) > 2
    assert engine.most_open == 1
    assert count(metrics, "rollovers_without_seat") == len(engine.requests) - 1


async def test_many_at_once_never_hold_more_seats_than_there_are() -> None:
    engine = FakeEngine()
    hearing, _ = hearing_of(engine, segment_s=3, segment_max_s=4, max_connections=20, vllm_max_num_seqs=24)
    every = [say(hearing, uneven(range(30), seed=seed)) for seed in range(20)]
    for notes in await asyncio.gather(*every):
        assert notes.text == text(range(30))
    assert 20 <= engine.most_open <= 23  # one is left to the engine's own
    assert hearing._pool._spare == 3


@given(seed=st.integers(0, 10**6), max_steps=st.integers(60, 120), piece_chars=st.sampled_from([0, 2]))
@settings(deadline=None, max_examples=30)
def test_an_engine_that_ends_too_early_loses_nothing(seed: int, max_steps: int, piece_chars: int) -> None:
    engine = FakeEngine(max_steps=max_steps, piece_chars=piece_chars)
    pcm = uneven(range(40), seed=seed, least_s=0.32)
    notes = asyncio.run(transcript(engine, pcm, segment_s=1000, segment_max_s=1000))
    assert notes.text == text(range(40)) and len(engine.requests) > 2


async def test_the_limit_of_an_engine_is_learnt() -> None:
    engine = FakeEngine(max_steps=250)
    hearing, metrics = hearing_of(engine, segment_s=1000, segment_max_s=1000)
    for _ in range(2):
        notes = await say(hearing, uneven(range(150), seed=1))
        assert notes.text == text(range(150))
    assert count(metrics, "rollovers", kind="truncation") == 1
    assert hearing._pool.segment_max_s < 20


async def test_a_rut_is_left_and_little_is_lost() -> None:
    engine = FakeEngine(blank_from=60, only_request=1)
    hearing, metrics = hearing_of(engine, rut_s=2.0, segment_s=1000, segment_max_s=1000, overlap_s=1.0)
    notes = await say(hearing, loud(range(200)))
    told = numbers_of(notes.text)
    lost = sorted(set(range(200)) - set(told))
    assert told == sorted(set(told)) and lost == list(range(lost[0], lost[-1] + 1))
    assert len(lost) * 0.1 < 2.0 + 6.0  # the rut, and what was on its way
    assert count(metrics, "rollovers", kind="rut") == 1


async def test_neither_silence_nor_noise_is_a_rut_and_music_is_one_ever_more_rarely() -> None:
    hearing, metrics = hearing_of(FakeEngine(blank_from=0), rut_s=1.0, segment_s=1000, segment_max_s=1000)
    await say(hearing, silence(30.0))
    assert count(metrics, "rollovers", kind="rut") == 0
    await say(hearing, loud(range(600)))
    assert 2 <= count(metrics, "rollovers", kind="rut") <= 6


def loud(numbers: range) -> bytes:
    """Ten marks a second that come and go, so that no floor is made of them."""
    return b"".join(speech([number], every_s=0.1 if number % 8 else 0.3) for number in numbers)


async def test_a_half_open_utterance_answers_what_it_has_heard_over_a_seam() -> None:
    engine, notes = FakeEngine(), Notes()
    hearing, _ = hearing_of(engine, segment_s=3, segment_max_s=4)
    utterance = hearing(notes)
    await feed(utterance, speech(range(20), every_s=0.3))
    for _ in range(500):
        await asyncio.sleep(0)
    assert not utterance.owes
    assert len(numbers_of("".join(notes.deltas))) >= 17
    utterance.abort()
    await hearing.close()


async def test_a_finish_while_the_next_request_is_being_begun_loses_nothing() -> None:
    engine, notes, pcm = FakeEngine(finish_waits=asyncio.Event()), Notes(), speech(range(100), every_s=0.24)
    hearing, _ = hearing_of(engine, segment_s=3, segment_max_s=4)
    utterance, fed, gate = hearing(notes), 0, asyncio.Event()
    while not (engine.requests and engine.requests[0].is_finished):
        utterance.feed(pcm[fed : (fed := fed + 2560)])
        for _ in range(20):
            await asyncio.sleep(0)
            engine.begin_waits = gate if engine.requests else None
    utterance.finish()
    assert engine.finish_waits is not None
    engine.finish_waits.set()
    await asyncio.sleep(0.01)
    assert len(engine.requests) == 1 and not notes.ended.is_set()
    gate.set()
    await notes.ended.wait()
    assert notes.text == text(range(-(-fed // 7680)))


def test_marks_are_loud_enough_to_be_speech() -> None:
    assert LOWEST > 1000 and len(mark(0)) == MARK_SAMPLES


async def test_twenty_minutes_are_one_transcript_and_leave_no_memory() -> None:
    import tracemalloc

    engine = FakeEngine()
    hearing, _ = hearing_of(engine, segment_s=30, segment_max_s=40)
    notes = Notes()
    utterance = hearing(notes)
    levels = []
    tracemalloc.start()
    for part in range(20):
        numbers = range(part * 120, (part + 1) * 120)
        await feed(utterance, uneven(numbers, seed=part, least_s=0.3, most_s=0.7))
        engine.requests = engine.open
        levels.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    utterance.finish()
    await notes.ended.wait()
    assert notes.text == text(range(2400))
    assert levels[-1] - levels[4] < 1_500_000  # the deltas that the test keeps, and the text
