"""Every chunk is in one call, calls are small enough, and no other way to cut costs less."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from servers.parakeet.model_batches import CallCost, split

LENGTHS = st.lists(st.floats(0.01, 30), max_size=7)
COSTS = st.builds(CallCost, call=st.floats(0, 40), second=st.floats(0, 40))


def total(groups: list[list[int]], lengths_s: list[float], cost: CallCost) -> float:
    return sum(cost.of(max(lengths_s[index] for index in group), len(group)) for group in groups)


@given(LENGTHS, COSTS, st.integers(1, 4))
def test_each_chunk_comes_once_and_no_call_is_too_large(lengths_s: list[float], cost: CallCost, most: int) -> None:
    groups = split(lengths_s, cost, most=most)
    assert sorted(itertools.chain.from_iterable(groups)) == list(range(len(lengths_s)))
    assert all(1 <= len(group) <= most for group in groups)


@given(LENGTHS, COSTS, st.integers(1, 4))
def test_no_other_cuts_cost_less(lengths_s: list[float], cost: CallCost, most: int) -> None:
    order = sorted(range(len(lengths_s)), key=lambda index: -lengths_s[index])
    ways = []
    for cuts in itertools.product([False, True], repeat=max(0, len(order) - 1)):
        groups = [order[:1]] if order else []
        for index, cut in zip(order[1:], cuts, strict=True):
            if cut:
                groups.append([index])
            else:
                groups[-1].append(index)
        if all(len(group) <= most for group in groups):
            ways.append(total(groups, lengths_s, cost))
    assert total(split(lengths_s, cost, most=most), lengths_s, cost) <= min(ways) + 1e-6


def test_equal_lengths_stay_together() -> None:
    assert split([3.0] * 5, CallCost(call=0.1, second=0.1), most=16) == [[0, 1, 2, 3, 4]]


def test_one_long_chunk_does_not_pad_many_short_ones() -> None:
    assert split([1.0, 1.0, 30.0, 1.0], CallCost(call=1.0, second=1.0), most=16) == [[2], [0, 1, 3]]
