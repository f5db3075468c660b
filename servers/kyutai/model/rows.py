"""Which physical row of the model's state each slot has, so that live streams lie together at the low end.

A step costs by its highest row where it runs as a recorded graph, and a gathered copy where its rows do not follow one
another. One exchange a step at most, as each costs about what the
attention of two rows costs. Pure bookkeeping: knows no tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PATIENCE_STEPS: Final = 32
"""A row that was in none of so many steps is taken to be idle: it may be put elsewhere."""


class Rows:
    """A one-to-one map of slots to rows; both are 0 .. count - 1."""

    def __init__(self, count: int, *, patience_steps: int = PATIENCE_STEPS) -> None:
        self._row_of, self._slot_of = list(range(count)), list(range(count))
        self._newest = [-patience_steps - 1] * count
        """By row: the step that it was last in."""
        self._step, self._patience_steps = 0, patience_steps
        self.exchanges = 0

    def __getitem__(self, slot: int) -> int:
        return self._row_of[slot]

    @property
    def moved(self) -> int:
        """How many slots are not in the row of their number."""
        return sum(row != slot for slot, row in enumerate(self._row_of))

    def plan(self, due: Sequence[int]) -> tuple[int, int] | None:
        """The rows that had better change places before a step of these slots, low one first."""
        self._step += 1
        for slot in due:
            self._newest[self._row_of[slot]] = self._step
        high = max((self._row_of[slot] for slot in due), default=0)
        idle = (row for row in range(high) if self._newest[row] < self._step - self._patience_steps)
        low = next(idle, None)
        return None if low is None else (low, high)

    def exchange(self, low: int, high: int) -> None:
        """They have changed places."""
        one, other = self._slot_of[low], self._slot_of[high]
        self._slot_of[low], self._slot_of[high] = other, one
        self._row_of[one], self._row_of[other] = high, low
        self._newest[low], self._newest[high] = self._newest[high], self._newest[low]
        self.exchanges += 1

    def release(self, slot: int) -> None:
        """The stream in this slot has ended: its row is idle at once."""
        self._newest[self._row_of[slot]] = self._step - self._patience_steps - 1
