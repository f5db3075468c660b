"""Rows: a one-to-one map of slots to rows at all times, in which live streams come to lie together at the low end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.kyutai.model.pace import Pace
from servers.kyutai.model.rows import PATIENCE_STEPS, Rows

SLOTS = 8


def step(rows: Rows, due: list[int]) -> int:
    """One step as the engine makes it -> the rows it would have as a graph."""
    if (pair := rows.plan(due)) is not None:
        rows.exchange(*pair)
    return max((rows[slot] for slot in due), default=-1) + 1


@given(st.lists(st.sets(st.integers(0, SLOTS - 1)), max_size=200), st.integers(0, 5))
def test_slots_and_rows_are_one_to_one(steps: list[set[int]], patience_steps: int) -> None:
    rows = Rows(SLOTS, patience_steps=patience_steps)
    for due in steps:
        step(rows, sorted(due))
        if due:
            rows.release(min(due))
        assert sorted(rows[slot] for slot in range(SLOTS)) == list(range(SLOTS))


@given(st.lists(st.sets(st.integers(0, SLOTS - 1)), max_size=50), st.sets(st.integers(0, SLOTS - 1), min_size=1))
def test_streams_that_go_on_come_to_be_the_lowest_rows(before: list[set[int]], live: set[int]) -> None:
    rows = Rows(SLOTS)
    for due in before:
        step(rows, sorted(due))
    for _ in range(PATIENCE_STEPS + SLOTS):
        step(rows, sorted(live))

    assert step(rows, sorted(live)) == len(live)


def test_a_stream_that_waits_for_its_turn_is_not_displaced() -> None:
    """Unaligned clients: each is in every eighth step."""
    rows = Rows(SLOTS)
    for number in range(10 * SLOTS):
        step(rows, [number % SLOTS])

    assert (rows.exchanges, rows.moved) == (0, 0)


def test_a_stream_that_has_ended_makes_room_at_once() -> None:
    rows = Rows(SLOTS)
    step(rows, [0, 1])
    rows.release(0)

    assert step(rows, [1]) == 1
    assert (rows[1], rows[0], rows.exchanges, rows.moved) == (0, 1, 1, 2)


def test_pace_between_and_beyond_its_measurements() -> None:
    pace = Pace({2: 0.010, 4: 0.020, 8: 0.022})

    found = [pace.step_s(rows) for rows in (1, 2, 3, 6, 8, 16)]

    assert found == pytest.approx([0.010, 0.010, 0.015, 0.021, 0.022, 0.044])


def test_pace_follows_the_newest_steps_but_no_single_one() -> None:
    pace = Pace({1: 0.010})
    for seconds in [0.010] * 5 + [5.0]:
        pace.note(1, seconds)
    assert pace.step_s(4) == 0.040
    for _ in range(40):
        pace.note(2, 0.040)
    assert pace.step_s(1) == 0.020
