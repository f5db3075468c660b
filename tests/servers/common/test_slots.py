"""Seats and the cutting of audio into frames, without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from servers.common.errors import Overloaded
from servers.common.interfaces import Audio, Frame
from servers.common.slots import Slot, SlotPool, Step

FIRST, NEXT, FLUSH = 7, 5, 3


def pool_of(seats: int, *, flush_samples: int = FLUSH) -> SlotPool[Any]:
    return SlotPool(seats, first_samples=FIRST, next_samples=NEXT, flush_samples=flush_samples)


def ignore(step: Step[Any]) -> None:
    """Nobody listens."""


def numbers(count: int, start: int = 1) -> Audio:
    return np.arange(start, start + count, dtype=np.float32)


def drain(pool: SlotPool[Any]) -> list[Frame]:
    """Every frame that waits, one step after another."""
    frames = []
    while slots := pool.pick(1):
        frames.append(slots[0].take(at_s=0.0)[0])
        pool.put_back(slots[0])
    return frames


def test_frames_have_the_sizes_that_the_model_wants() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(20), at_s=0.0)
    assert slot.end(at_s=0.0)
    frames = drain(pool)
    assert [len(frame.samples) for frame in frames] == [7, 5, 5, 3]
    assert [(frame.first, frame.last) for frame in frames] == [
        (True, False),
        (False, False),
        (False, False),
        (False, True),
    ]


@settings(deadline=None)
@given(portions=st.lists(st.integers(0, 30), max_size=12))
def test_any_cutting_of_the_audio_gives_the_same_frames(portions: list[int]) -> None:
    whole = numbers(sum(portions))
    at_once, in_portions = pool_of(1), pool_of(1)
    one, other = at_once.take(ignore), in_portions.take(ignore)
    one.append(whole, at_s=0.0)
    for part in np.split(whole, np.cumsum(portions)[:-1]) if portions else []:
        other.append(part, at_s=0.0)
    assert one.end(at_s=0.0) == other.end(at_s=0.0) == bool(len(whole))
    assert said(drain(at_once)) == said(drain(in_portions))


def said(frames: Sequence[Frame]) -> list[tuple[list[float], bool, bool]]:
    return [(frame.samples.tolist(), frame.first, frame.last) for frame in frames]


@settings(deadline=None)
@given(before=st.integers(1, 30), after=st.integers(0, 30), silence=st.integers(0, 11))
def test_a_flush_fills_up_to_a_whole_frame(before: int, after: int, silence: int) -> None:
    pool = pool_of(1, flush_samples=silence)
    slot = pool.take(ignore)
    slot.append(numbers(before), at_s=0.0)
    assert slot.flush(at_s=0.0) == 1
    slot.append(numbers(after, start=1000), at_s=0.0)
    slot.end(at_s=0.0)
    *frames, last = drain(pool)
    heard = np.concatenate([frame.samples for frame in [*frames, last]])
    gap = heard[before : len(heard) - after]
    assert [len(frame.samples) for frame in frames] == [FIRST, *[NEXT] * (len(frames) - 1)]
    assert heard[:before].tolist() == numbers(before).tolist()
    assert heard[len(heard) - after :].tolist() == numbers(after, start=1000).tolist()
    assert len(gap) >= silence and not gap.any()
    assert len(gap) <= max(silence, 1) + FIRST


@pytest.mark.parametrize("before", [1, FIRST, FIRST + 1, FIRST + 2 * NEXT])
def test_the_last_frame_of_a_flush_carries_its_number(before: int) -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(before), at_s=0.0)
    slot.flush(at_s=0.0)
    flushes = []
    while slots := pool.pick(1):
        flushes.append(slots[0].take(at_s=0.0)[1].flush)
        pool.put_back(slots[0])
    assert flushes == [0] * (len(flushes) - 1) + [1]


def test_a_flush_without_new_audio_is_the_one_before() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    assert slot.flush(at_s=0.0) == 0
    slot.append(numbers(1), at_s=0.0)
    assert (slot.flush(at_s=0.0), slot.flush(at_s=0.0)) == (1, 1)
    waiting = slot.waiting_samples
    slot.flush(at_s=0.0)
    assert slot.waiting_samples == waiting
    slot.append(numbers(1), at_s=0.0)
    assert slot.flush(at_s=0.0) == 2


def test_a_flush_after_all_was_taken_is_a_frame_of_silence() -> None:
    pool = pool_of(1, flush_samples=0)
    slot = pool.take(ignore)
    slot.append(numbers(FIRST), at_s=0.0)
    assert len(drain(pool)) == 1
    assert slot.flush(at_s=0.0) == 1
    assert [frame.samples.tolist() for frame in drain(pool)] == [[0.0] * NEXT]


def test_a_stream_without_audio_owes_nothing() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(0), at_s=0.0)
    assert not slot.end(at_s=0.0)
    assert not drain(pool)


def test_an_end_after_whole_frames_is_an_empty_one() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(FIRST), at_s=0.0)
    slot.end(at_s=0.0)
    slot.append(numbers(50), at_s=0.0)
    assert [(len(frame.samples), frame.last) for frame in drain(pool)] == [(FIRST, False), (0, True)]


def test_a_frame_knows_when_its_newest_sample_came_and_when_it_was_whole() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(FIRST - 1), at_s=1.0)
    slot.append(numbers(2), at_s=2.0)
    slot.flush(at_s=3.0)
    stamps = []
    while slots := pool.pick(1):
        piece = slots[0].take(at_s=9.0)[1]
        stamps.append((piece.received_s, piece.queued_s))
        pool.put_back(slots[0])
    assert stamps == [(2.0, 2.0), (2.0, 3.0)]


def test_who_waits_longest_goes_first_and_a_backlog_takes_turns() -> None:
    pool = pool_of(2)
    greedy, live = pool.take(ignore), pool.take(ignore)
    greedy.append(numbers(FIRST + 20 * NEXT), at_s=1.0)
    live.append(numbers(FIRST), at_s=2.0)
    order = []
    for now_s in (3.0, 4.0, 5.0):
        (slot,) = pool.pick(1)
        slot.take(at_s=now_s)
        order.append(slot.number)
        pool.put_back(slot)
    assert order == [greedy.number, live.number, greedy.number]


def test_a_seat_left_in_a_step_is_free_after_it() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(FIRST), at_s=0.0)
    pool.pick(1)
    slot.leave()
    slot.leave()
    with pytest.raises(Overloaded):
        pool.take(ignore)
    pool.put_back(slot)
    assert pool.free == 1
    assert pool.take(ignore).number == slot.number


def test_the_next_stream_in_a_seat_begins_anew() -> None:
    pool = pool_of(1)
    before = pool.take(ignore)
    before.append(numbers(FIRST + 2), at_s=0.0)
    before.leave()
    pool.take(ignore).append(numbers(FIRST, start=100), at_s=0.0)
    (frame,) = drain(pool)
    assert frame.first and frame.samples.tolist() == numbers(FIRST, start=100).tolist()


def test_a_stream_that_restarts_forgets_its_audio_and_begins_anew() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(18), at_s=0.0)
    pool.pick(1)
    slot.take(at_s=0.0)
    slot.restart()
    assert slot.is_stepping and not slot.waiting_samples
    slot.append(numbers(8, start=100), at_s=0.0)
    pool.put_back(slot)
    (frame,) = drain(pool)
    assert frame.first and frame.samples.tolist() == [100, 101, 102, 103, 104, 105, 106]


def test_a_restart_without_audio_leaves_nothing_to_step() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(20), at_s=0.0)
    slot.restart()
    assert (pool.due, drain(pool), slot.waiting_samples) == (0, [], 0)
    assert not slot.end(at_s=0.0)


def test_a_stopped_stream_is_never_stepped() -> None:
    pool = pool_of(1)
    slot = pool.take(ignore)
    slot.append(numbers(50), at_s=0.0)
    slot.stop()
    slot.append(numbers(50), at_s=0.0)
    assert not slot.end(at_s=0.0)
    assert (pool.due, slot.waiting_samples, drain(pool)) == (0, 0, [])


class Seats(RuleBasedStateMachine):
    """Streams come, speak, flush, end and go at any time, while steps run or do not."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = pool_of(3)
        self.slots: list[Slot[Any]] = []
        self.step: list[Slot[Any]] = []
        self.given: dict[Slot[Any], int] = {}
        self.taken: dict[Slot[Any], int] = {}

    @rule()
    def arrive(self) -> None:
        stepping = {slot.number for slot in self.step}
        if len({slot.number for slot in self.slots} | stepping) == 3:
            with pytest.raises(Overloaded):
                self.pool.take(ignore)
            return
        slot = self.pool.take(ignore)
        assert slot.number not in stepping
        self.slots.append(slot)
        self.given[slot] = self.taken[slot] = 0

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), count=st.integers(0, 2 * NEXT), what=st.sampled_from(["append", "flush", "end", "leave"]))
    def act(self, data: st.DataObject, count: int, what: str) -> None:
        slot = data.draw(st.sampled_from(self.slots))
        before = slot.waiting_samples
        if what == "append":
            slot.append(numbers(count), at_s=0.0)
        elif what == "leave":
            slot.leave()
            self.slots.remove(slot)
            return
        else:
            getattr(slot, what)(at_s=0.0)
        self.given[slot] += slot.waiting_samples - before

    @precondition(lambda self: not self.step)
    @rule(limit=st.integers(1, 4))
    def begin(self, limit: int) -> None:
        self.step = self.pool.pick(limit)
        for slot in self.step:
            frame, _ = slot.take(at_s=0.0)
            assert frame.first == (self.taken[slot] == 0)
            self.taken[slot] += len(frame.samples)

    @rule()
    def finish(self) -> None:
        for slot in self.step:
            self.pool.put_back(slot)
        self.step = []

    @invariant()
    def every_sample_is_taken_or_waits(self) -> None:
        for slot in self.slots:
            assert self.given[slot] == self.taken[slot] + slot.waiting_samples

    @invariant()
    def no_slot_is_stepped_twice_or_when_left(self) -> None:
        assert len({slot.number for slot in self.step}) == len(self.step)
        held = {slot.number for slot in self.slots} | {slot.number for slot in self.step}
        assert self.pool.free == 3 - len(held)
        assert set(self.pool.taken) == set(self.slots)


TestSeats = Seats.TestCase
TestSeats.settings = settings(deadline=None)
