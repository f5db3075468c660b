"""The order of a budgeted grid and what still fits: every prefix spans the axes, nothing twice, nothing over budget."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from yapbench.benchgpu.plan import MARGIN, UNKNOWN_SHARE, Spent, ends_first, limit_s, widest_first, with_anchors

grids = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(
    lambda sizes: {f"axis{number}": list(range(size)) for number, size in enumerate(sizes)}
)
seconds = st.floats(0.1, 1000)


@given(st.integers(0, 40))
def test_an_axis_is_read_from_its_ends_to_its_middle(count: int) -> None:
    order = ends_first(count)
    assert sorted(order) == list(range(count))
    assert set(order[:2]) == ({0, count - 1} if count else set())


@given(grids)
def test_every_setting_comes_once_and_always_in_the_same_order(axes: dict[str, list[int]]) -> None:
    order = widest_first(axes)
    assert sorted(tuple(cell.values()) for cell in order) == sorted(itertools.product(*axes.values()))
    assert order == widest_first(axes)


@given(grids, st.data())
def test_any_prefix_uses_the_values_of_each_axis_equally_often_or_once_more(
    axes: dict[str, list[int]], data: st.DataObject
) -> None:
    order = widest_first(axes)
    prefix = order[: data.draw(st.integers(1, len(order)))]
    for name, values in axes.items():
        used = Counter(cell[name] for cell in prefix)
        assert max(used.values()) - min(used[value] for value in values) <= 1


@given(grids)
def test_the_first_two_settings_are_opposite_corners(axes: dict[str, list[int]]) -> None:
    order = widest_first(axes)
    assert list(order[0].values()) == [values[0] for values in axes.values()]
    if any(len(values) > 1 for values in axes.values()):
        assert list(order[1].values()) == [values[-1] for values in axes.values()]


def test_half_of_the_gpu_grids_pairs_of_values_have_met_after_eight_settings() -> None:
    axes: dict[str, list[Any]] = {"dtype": ["b", "f"], "compile": [0, 1], "sizes": [0, 1, 2, 3], "window": [0, 1, 2, 3]}
    first, every = widest_first(axes)[:8], widest_first(axes)
    pairs = [{pair for cell in cells for pair in itertools.combinations(cell.items(), 2)} for cells in (first, every)]
    assert len(pairs[0]) >= 0.5 * len(pairs[1])
    assert {(cell["dtype"], cell["compile"]) for cell in first} == set(itertools.product("bf", (0, 1)))


def test_anchors_come_first_and_what_is_the_same_setting_comes_once() -> None:
    cells: list[dict[str, Any]] = [{"a": 1}, {"a": 2, "b": None}, {"a": 3}]
    assert with_anchors([{"a": 2}, {"a": 2}], cells) == [{"a": 2}, {"a": 1}, {"a": 3}]


@given(st.lists(seconds, max_size=4), st.lists(seconds, max_size=4), st.floats(-10, 1000), seconds, st.integers(1, 7))
def test_a_setting_is_never_given_more_than_is_left(
    ended: list[float], cut: list[float], left_s: float, budget_s: float, weight: int
) -> None:
    spent = Spent(tuple(ended), tuple(cut))
    given_s = limit_s(spent, left_s=left_s, budget_s=budget_s, weight=weight)
    expected_s = spent.expected_s(weight)
    assert given_s is None or 0 < given_s <= left_s
    if expected_s is not None and expected_s > left_s:
        assert given_s is None


def test_an_unknown_setting_gets_a_share_and_one_that_was_cut_gets_more_than_it_had() -> None:
    assert limit_s(Spent(), left_s=100, budget_s=100) == UNKNOWN_SHARE * 100
    assert limit_s(Spent(), left_s=5, budget_s=100) is None
    assert limit_s(Spent(cut_s=(60,)), left_s=100, budget_s=100) == MARGIN * 60
    assert limit_s(Spent(cut_s=(60,)), left_s=70, budget_s=100) is None
    assert limit_s(Spent(ended_s=(10,), cut_s=(60,)), left_s=70, budget_s=100, weight=2) == 70
