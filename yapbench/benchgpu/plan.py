"""Which settings of a grid to run, in which order, and whether the next one still fits the budget. Pure.

The order is widest first: the corners of the grid, then what lies between, every axis used as evenly as it can be after
any number of settings. Knows values and seconds; knows no server.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN_SHARE = 0.4
"""Of the budget: the most that a setting of unknown cost may take."""

LEAST_SHARE = 0.1
"""Of the budget: what must be left to begin a setting of unknown cost."""

MARGIN = 1.25
"""Between what settings of a kind took and what is set aside for the next."""


def ends_first(count: int) -> list[int]:
    """The indices of an axis: its ends, then the middles of what lies between. 5 -> 0, 4, 2, 1, 3."""
    found = [index for index in (0, count - 1) if index >= 0][:count]
    gaps = [(0, count - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if low < middle < high:
            found.append(middle)
            gaps += [(low, middle), (middle, high)]
    return found


def widest_first(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination once. After any number of them the values of an axis were used equally often, or some once
    more than others.

    Steps that advance every axis at once are such a walk until it returns to its start; the grid falls apart into
    such walks. Next comes the one that brings together most values of two axes that have not met, those of short axes
    before others: they are fewer and stand for more of the grid.
    """
    orders = [ends_first(len(values)) for values in axes.values()]
    sizes = [len(order) for order in orders]
    if not all(sizes):
        return []
    walks = [list(_walk(start, sizes)) for start in _starts(sizes)]
    chosen = [walks.pop(0)]
    met = _pairs(chosen[0])
    shortest_first = sorted({first * second for first, second in itertools.combinations(sizes, 2)})

    def new_pairs(walk: Sequence[tuple[int, ...]]) -> list[int]:
        fresh = Counter(sizes[first] * sizes[second] for first, _, second, _ in _pairs(walk) - met)
        return [fresh[size] for size in shortest_first]

    while walks:
        best = max(walks, key=new_pairs)  # the first of equals: the order is settled
        walks.remove(best)
        chosen.append(best)
        met |= _pairs(best)
    names, values = list(axes), list(axes.values())
    return [
        {name: value[order[at]] for name, value, order, at in zip(names, values, orders, position, strict=True)}
        for walk in chosen
        for position in walk
    ]


def _walk(start: tuple[int, ...], sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for step in range(math.lcm(*sizes)):
        yield tuple((at + step) % size for at, size in zip(start, sizes, strict=True))


def _starts(sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """One position of each walk, the first in counting order."""
    seen: set[tuple[int, ...]] = set()
    for number in range(math.prod(sizes)):
        position, rest = [], number
        for size in reversed(sizes):
            rest, at = divmod(rest, size)
            position.append(at)
        start = tuple(reversed(position))
        if start not in seen:
            seen |= set(_walk(start, sizes))
            yield start


def _pairs(walk: Sequence[tuple[int, ...]]) -> set[tuple[int, int, int, int]]:
    """The values of two axes that a walk brings together: (axis, value, axis, value)."""
    return {
        (first, position[first], second, position[second])
        for position in walk
        for first in range(len(position))
        for second in range(first)
    }


def with_anchors(anchors: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`anchors` first, then the rest of `cells`; what is the same setting comes once. None: not given."""
    found: list[dict[str, Any]] = []
    for cell in [*anchors, *cells]:
        given = {name: value for name, value in cell.items() if value is not None}
        if given not in found:
            found.append(given)
    return found


@dataclass(frozen=True)
class Spent:
    """What settings of one kind took so far, in seconds for each unit of weight: those that ended, those cut short."""

    ended_s: tuple[float, ...] = ()
    cut_s: tuple[float, ...] = ()

    def expected_s(self, weight: int = 1) -> float | None:
        """What the next one will take; None when nothing is known."""
        if self.ended_s:
            return MARGIN * weight * statistics.median(self.ended_s)
        return MARGIN * weight * max(self.cut_s) if self.cut_s else None


def limit_s(spent: Spent, *, left_s: float, budget_s: float, weight: int = 1) -> float | None:
    """How long the next setting of a kind may take; None: it does not fit into what is left.

    Where one has ended before it may take what is left; an unknown one a share of the budget, so that a compiler
    without end leaves time for others.
    """
    if left_s <= 0:
        return None
    expected = spent.expected_s(weight)
    if expected is None:
        return min(left_s, UNKNOWN_SHARE * budget_s) if left_s >= LEAST_SHARE * budget_s else None
    if expected > left_s:
        return None
    return left_s if spent.ended_s else min(left_s, max(expected, UNKNOWN_SHARE * budget_s))
