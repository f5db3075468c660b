"""Schedules are pure functions of their seed."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.pacing.schedule import Phases, Ticket, burst_offsets, order, phase_ns, poisson_offsets
from yapbench.pacing.timer import SECOND_NS
from yapbench.schema import Phase

seeds = st.integers(0, 2**31)


@given(count=st.integers(1, 200), seed=seeds, repeat=st.integers(0, 5))
def test_an_order_holds_each_utterance_once(count: int, seed: int, repeat: int) -> None:
    assert sorted(order(count, seed=seed, repeat=repeat)) == list(range(count))
    assert order(count, seed=seed, repeat=repeat) == order.__wrapped__(count, seed=seed, repeat=repeat)


def test_seed_and_repeat_change_the_order() -> None:
    orders = {order(100, seed=seed, repeat=repeat) for seed in range(3) for repeat in range(3)}
    assert len(orders) == 9


@given(rate=st.floats(0.01, 10_000), seed=seeds, repeat=st.integers(0, 5))
def test_poisson_arrivals_are_determined_and_never_go_back(rate: float, seed: int, repeat: int) -> None:
    first, second = (list(islice(poisson_offsets(rate, seed=seed, repeat=repeat), 50)) for _ in range(2))
    assert first == second
    assert first[0] == 0
    assert all(earlier <= later for earlier, later in pairwise(first))


@given(rate=st.sampled_from([0.5, 3.0, 80.0]), seed=seeds)
def test_poisson_arrivals_keep_their_mean_rate(rate: float, seed: int) -> None:
    last_ns = next(islice(poisson_offsets(rate, seed=seed, repeat=0), 2000, None))
    # The sum of 2000 exponential gaps has a relative deviation of 2.2 %: 8 of them is no accident.
    assert 2000 / rate * SECOND_NS == pytest.approx(last_ns, rel=0.18)


def test_poisson_gaps_are_exponential() -> None:
    offsets = list(islice(poisson_offsets(1.0, seed=1, repeat=0), 20_001))
    gaps_s = [(later - earlier) / SECOND_NS for earlier, later in pairwise(offsets)]
    assert sum(gap > 1 for gap in gaps_s) / len(gaps_s) == pytest.approx(0.3679, abs=0.02)
    assert sum(gap > 2 for gap in gaps_s) / len(gaps_s) == pytest.approx(0.1353, abs=0.02)


@given(size=st.integers(1, 20), period_s=st.floats(0.01, 10))
def test_bursts_hold_their_size_and_period(size: int, period_s: float) -> None:
    offsets = list(islice(burst_offsets(size, period_s), 3 * size))
    assert offsets == [round(number * period_s * SECOND_NS) for number in range(3) for _ in range(size)]


def test_phases_fill_the_frame_evenly_and_are_determined() -> None:
    found = [phase_ns(index, frame_ns=1000, seed=3, repeat=0) for index in range(2000)]
    assert found == [phase_ns(index, frame_ns=1000, seed=3, repeat=0) for index in range(2000)]
    assert min(found) >= 0
    assert max(found) < 1000
    tenths = [sum(phase // 100 == tenth for phase in found) for tenth in range(10)]
    assert min(tenths) > 120  # 200 expected, 13 the deviation
    assert max(tenths) < 280


def drive(phases: Phases, users: int, *, step_ns: int = 1, choices: list[int] | None = None) -> list[Ticket]:
    """A closed loop in virtual time: `users` tickets outstanding, given back in the order that `choices` says."""
    taken: list[Ticket] = []
    outstanding: list[Ticket] = []
    now_ns, turn = 0, 0
    while True:
        while len(outstanding) < users and (ticket := phases.take(now_ns)) is not None:
            taken.append(ticket)
            outstanding.append(ticket)
        if not outstanding:
            return taken
        choice = (choices or [0])[turn % len(choices or [0])] % len(outstanding)
        phases.give_back(outstanding.pop(choice))
        now_ns, turn = now_ns + step_ns, turn + 1


counts = st.integers(1, 30)


@given(warmup=st.integers(0, 10), requests=counts, users=counts, choices=st.lists(st.integers(0, 30), max_size=9))
def test_a_count_is_kept_whatever_the_order_of_answers(
    warmup: int, requests: int, users: int, choices: list[int]
) -> None:
    phases = Phases(warmup=warmup, requests=requests, duration_s=None)
    # Answers must come to everyone in the end: the oldest goes first every other time.
    tickets = drive(phases, users, choices=[*choices, 0, 0])
    assert phases.finished
    assert [ticket.index for ticket in tickets] == list(range(len(tickets)))
    expected = [Phase.WARMUP] * warmup + [Phase.STEADY] * requests
    assert [ticket.phase for ticket in tickets[: len(expected)]] == expected
    assert {ticket.phase for ticket in tickets[len(expected) :]} <= {Phase.DRAIN}


def test_drain_keeps_the_load_up_until_the_last_counted_answer() -> None:
    phases = Phases(warmup=0, requests=2, duration_s=None)
    first, second = phases.take(0), phases.take(0)
    assert first is not None
    assert second is not None
    phases.give_back(second)
    drained = phases.take(1)
    assert drained == Ticket(2, Phase.DRAIN)
    phases.give_back(first)
    assert phases.take(2) is None  # the drained one may still be on its way: nobody counts it


@given(warmup=st.integers(0, 5), users=st.integers(1, 8), length=st.integers(1, 50))
def test_a_duration_counts_from_the_first_counted_request(warmup: int, users: int, length: int) -> None:
    phases = Phases(warmup=warmup, requests=None, duration_s=length / SECOND_NS)
    steady = [ticket for ticket in drive(phases, users) if ticket.phase is Phase.STEADY]
    assert phases.finished
    # One request in each nanosecond of virtual time, and all users at once in the first.
    assert length <= len(steady) <= length + users - 1


def test_what_is_still_owed_is_known() -> None:
    phases = Phases(warmup=2, requests=2, duration_s=None)
    phases.take(0)
    assert phases.rest() == [Ticket(1, Phase.WARMUP), Ticket(2, Phase.STEADY), Ticket(3, Phase.STEADY)]
    assert Phases(warmup=0, requests=None, duration_s=1.0).rest() == []
