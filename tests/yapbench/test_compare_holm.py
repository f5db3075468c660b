"""Holm's adjustment against its definition, and what it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.compare.holm import adjusted

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def rejected(p_values: list[float], level: float) -> list[bool]:
    """Holm's procedure as he wrote it: from the smallest p on, reject while p <= level / (hypotheses left)."""
    found, left = [False] * len(p_values), len(p_values)
    for k in sorted(range(len(p_values)), key=lambda k: p_values[k]):
        if p_values[k] > level / left:
            break
        found[k], left = True, left - 1
    return found


@given(P_VALUES, st.floats(0.001, 0.999))
def test_an_adjusted_p_below_the_level_is_a_rejection(p_values: list[float], level: float) -> None:
    found = adjusted(p_values)
    if not np.isclose(found, level, rtol=1e-9).any():  # p * left <= level and p <= level / left round differently
        assert (found <= level).tolist() == rejected(p_values, level)


@given(P_VALUES)
def test_it_never_helps_and_never_asks_more_than_bonferroni(p_values: list[float]) -> None:
    found = adjusted(p_values)
    assert (found >= p_values).all()
    assert (found <= np.minimum(1, np.array(p_values) * len(p_values))).all()


@given(P_VALUES, st.randoms())
def test_the_order_does_not_matter(p_values: list[float], random: object) -> None:
    order = list(range(len(p_values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert adjusted([p_values[k] for k in order]).tolist() == adjusted(p_values)[order].tolist()


def test_the_example_of_a_textbook() -> None:
    assert adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_no_hypothesis_needs_no_adjustment() -> None:
    assert adjusted([]).size == 0
