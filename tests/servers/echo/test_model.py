"""The queue in virtual time: FIFO, never more than `workers` at once, exactly the stated capacity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.errors import Overloaded
from servers.echo.model import FixedQueue, Turn

GAPS_S = st.lists(st.floats(0, 2), min_size=1, max_size=60)


def admit_all(queue: FixedQueue, gaps_s: list[float]) -> list[Turn]:
    now_s, turns = 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        turns.append(queue.admit(now_s))
    return turns


@given(GAPS_S, st.integers(1, 5), st.floats(0.01, 3))
def test_first_come_first_served_and_at_most_c_at_once(gaps_s: list[float], workers: int, service_s: float) -> None:
    turns = admit_all(FixedQueue(service_s=service_s, workers=workers, limit=1000), gaps_s)
    starts = [turn.started_s for turn in turns]
    assert starts == sorted(starts)
    for turn in turns:
        running = [other for other in turns if other.started_s <= turn.started_s < other.finished_s]
        assert len(running) <= workers


@given(GAPS_S, st.integers(1, 5), st.floats(0.01, 3))
def test_no_job_waits_while_a_worker_is_free(gaps_s: list[float], workers: int, service_s: float) -> None:
    turns = admit_all(FixedQueue(service_s=service_s, workers=workers, limit=1000), gaps_s)
    for turn in (turn for turn in turns if turn.queue_s > 0):
        assert any(other.finished_s == turn.started_s for other in turns)


@pytest.mark.parametrize(("workers", "service_s"), [(1, 0.1), (4, 0.02), (7, 1.0)])
def test_when_flooded_it_finishes_exactly_its_capacity(workers: int, service_s: float) -> None:
    queue = FixedQueue(service_s=service_s, workers=workers, limit=10_000)
    turns = [queue.admit(0.0) for _ in range(100 * workers)]
    assert len(turns) / turns[-1].finished_s == pytest.approx(queue.capacity_per_s)


def test_one_more_than_the_limit_is_refused_and_told_when_to_come_back() -> None:
    queue = FixedQueue(service_s=2.0, workers=1, limit=2)
    for _ in range(3):
        queue.admit(0.0)
    with pytest.raises(Overloaded) as refusal:
        queue.admit(0.5)
    assert (queue.depth(0.5), refusal.value.retry_after_s) == (2, 5.5)
    assert queue.admit(2.0).started_s == 6.0


def test_with_no_waiting_room_a_free_worker_still_takes_a_job() -> None:
    queue = FixedQueue(service_s=1.0, workers=1, limit=0)
    assert queue.admit(0.0).queue_s == 0
    with pytest.raises(Overloaded):
        queue.admit(0.5)
    assert queue.admit(1.0).queue_s == 0


def test_switched_off_it_takes_no_time_and_any_number() -> None:
    queue = FixedQueue(service_s=0.0, workers=1, limit=0)
    assert [queue.admit(1.0).finished_s for _ in range(100)] == [1.0] * 100
