"""Several load processes hand out together exactly what one would."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.load.tally import Slot, Tally
from yapbench.pacing.schedule import Arrivals, Phases, Ticket, burst_offsets, poisson_offsets
from yapbench.pacing.timer import Pacer
from yapbench.schema import Phase

CHECKOUT = Path(__file__).resolve().parent.parent.parent
workers_from_1_to_4 = st.integers(1, 4)


@contextmanager
def tallies(workers: int, *, points: int = 3) -> Iterator[list[Tally]]:
    """What each of so many processes would hold, all in this one: their locks exclude each other all the same."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "tally"
        Tally.prepare(path, points=points)
        made = [Tally(points=points, workers=workers, path=path) for _ in range(workers)]
        for tally in made:
            stack.callback(tally.close)
        yield made


def drive(phases: list[Phases], users: int, choices: list[int]) -> list[Ticket]:
    """Users 0, 1 ... of processes 0, 1 ... in turn, in virtual time; answers come in the order that `choices` says."""
    taken: list[Ticket] = []
    outstanding: list[tuple[int, Ticket]] = []
    free = list(range(users))
    for turn in count():
        for user in list(free):
            ticket = phases[user % len(phases)].take(turn)
            if ticket is not None:
                free.remove(user)
                taken.append(ticket)
                outstanding.append((user, ticket))
        if not outstanding:
            return taken
        user, ticket = outstanding.pop(choices[turn % len(choices)] % len(outstanding))
        phases[user % len(phases)].give_back(ticket)
        free.append(user)
    raise AssertionError


@given(
    workers=workers_from_1_to_4,
    users=st.integers(1, 9),
    warmup=st.integers(0, 9),
    requests=st.integers(1, 30),
    choices=st.lists(st.integers(0, 30), max_size=9),
)
def test_users_of_many_processes_take_what_those_of_one_would(
    workers: int, users: int, warmup: int, requests: int, choices: list[int]
) -> None:
    alone = drive([Phases(warmup=warmup, requests=requests, duration_s=None)], users, [*choices, 0, 0])
    with tallies(workers) as made:
        phases = [Phases(warmup=warmup, requests=requests, duration_s=None, tally=one, number=1) for one in made]
        assert drive(phases, users, [*choices, 0, 0]) == alone
        assert all(one.finished for one in phases)


@given(workers=workers_from_1_to_4, users=st.integers(1, 9), warmup=st.integers(0, 5), length=st.integers(1, 40))
def test_a_duration_begins_for_all_with_the_first_counted_request(
    workers: int, users: int, warmup: int, length: int
) -> None:
    alone = drive([Phases(warmup=warmup, requests=None, duration_s=length / 1e9)], users, [0])
    with tallies(workers) as made:
        phases = [Phases(warmup=warmup, requests=None, duration_s=length / 1e9, tally=one) for one in made]
        assert drive(phases, users, [0]) == alone


@given(
    workers=workers_from_1_to_4,
    warmup=st.integers(0, 9),
    requests=st.one_of(st.none(), st.integers(1, 30)),
    burst=st.booleans(),
)
def test_arrivals_are_divided_without_rest(workers: int, warmup: int, requests: int | None, burst: bool) -> None:
    def offsets() -> Iterator[int]:
        return burst_offsets(5, 0.3) if burst else poisson_offsets(20.0, seed=1, repeat=0)

    duration_s = 1.0 if requests is None else None
    whole = Arrivals(offsets(), warmup=warmup, requests=requests, duration_s=duration_s)
    expected = [(whole.next_offset_ns, whole.take()) for _ in range(60)]
    assert [ticket.index for _, ticket in expected] == list(range(60))
    found = []
    with tallies(workers) as made:
        for worker, tally in enumerate(made):
            own = Arrivals(
                offsets(), warmup=warmup, requests=requests, duration_s=duration_s, tally=tally, worker=worker
            )
            found += [(own.next_offset_ns, own.take()) for _ in range(60)]
    assert sorted(found, key=lambda pair: pair[1].index)[:60] == expected


def test_arrivals_are_finished_when_everybodys_counted_ones_have_ended() -> None:
    with tallies(2) as made:
        first, second = (
            Arrivals(count(), warmup=0, requests=3, duration_s=None, tally=tally, worker=worker)
            for worker, tally in enumerate(made)
        )
        finished = []
        for own in (first, first, second):
            own.give_back(own.take())
            finished.append((first.finished, second.finished))
        assert finished == [(False, False), (False, False), (True, True)]  # ticket 1 is the second one's
        assert first.take().phase is Phase.DRAIN


def test_what_is_still_owed_is_owed_once() -> None:
    with tallies(2) as made:
        users = [Phases(warmup=2, requests=2, duration_s=None, tally=tally) for tally in made]
        users[1].take(0)
        made[0].give_up()
        assert users[0].take(0) is None
        assert [ticket.index for ticket in users[0].rest()] == [1, 2, 3]
        assert users[1].rest() == []
    with tallies(2) as made:
        arrivals = [
            Arrivals(iter(range(0, 90, 10)), warmup=2, requests=3, duration_s=None, tally=tally, worker=worker)
            for worker, tally in enumerate(made)
        ]
        arrivals[0].take()
        assert [(ticket.index, offset) for ticket, offset in arrivals[0].rest()] == [(2, 20), (4, 40)]
        assert [(ticket.index, offset) for ticket, offset in arrivals[1].rest()] == [(1, 10), (3, 30)]


def test_who_is_first_at_a_point_begins_it_and_who_is_late_is_told() -> None:
    with tallies(2) as made:
        first, second = (Phases(warmup=0, requests=1, duration_s=None, tally=tally, number=1) for tally in made)
        ticket = first.take(0)
        assert ticket is not None
        first.give_back(ticket)
        assert first.finished
        later = Phases(warmup=0, requests=1, duration_s=None, tally=made[0], number=2)
        assert later.take(0) == Ticket(0, Phase.STEADY)
        assert second.passed
        assert second.take(0) is None
        assert Phases(warmup=0, requests=1, duration_s=None, tally=made[1], number=2).take(0) == Ticket(1, Phase.DRAIN)
        assert made[1].begun == 2


def test_the_span_of_a_point_is_that_of_all() -> None:
    with tallies(2) as made:
        made[0].stretch(1, 50, 90)
        made[1].stretch(1, 40, 60)
        made[1].stretch(3, 100, 110)
        assert made[0].spans() == {1: (40, 90), 3: (100, 110)}


async def test_nobody_goes_on_before_the_last_one_is_there() -> None:
    pacer = Pacer()
    with tallies(3) as made:
        early = [asyncio.create_task(tally.meet(pacer)) for tally in made[:2]]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in early)
        go_ns = await made[2].meet(pacer)
        assert await asyncio.gather(*early) == [go_ns, go_ns]
        assert len(set(await asyncio.gather(*(tally.meet(pacer) for tally in made)))) == 1
    pacer.close()


async def test_one_alone_waits_for_nobody() -> None:
    pacer = Pacer()
    for _ in range(3):
        await asyncio.wait_for(Tally(points=1).meet(pacer), timeout=30)
    pacer.close()


@pytest.mark.slow
def test_processes_that_count_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tally"
    Tally.prepare(path, points=1)
    script = (
        "import sys; from pathlib import Path; from yapbench.pacing.schedule import Phases\n"
        "from yapbench.load.tally import Tally\n"
        "phases = Phases(warmup=0, requests=10**9, duration_s=None, tally=Tally(points=1, path=Path(sys.argv[1])))\n"
        "print(*[phases.take(0).index for _ in range(20_000)])\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=CHECKOUT) for _ in range(3)]
    found = [[int(word) for word in process.communicate()[0].split()] for process in running]
    assert sorted(index for own in found for index in own) == list(range(60_000))


@pytest.mark.parametrize("requests", [1, 2])
def test_a_process_without_counted_arrivals_holds_nobody_up(requests: int) -> None:
    with tallies(3) as made:
        shares = [
            Arrivals(count(), warmup=0, requests=requests, duration_s=None, tally=tally, worker=worker)
            for worker, tally in enumerate(made)
        ]
        for share in islice(shares, requests):
            share.give_back(share.take())
        assert all(share.finished for share in shares)
    assert len(Slot) - 1 == Slot.GO_NS  # what lies behind the slots is the points'
