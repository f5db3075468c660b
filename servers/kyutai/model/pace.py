"""How long a step of so many streams takes: what was measured at the start, corrected by the newest steps."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

NEWEST: Final = 31
"""Steps whose median says by how much the first measurements are off now."""


class Pace:
    """Written by the model's thread, read from any."""

    def __init__(self, measured_s: Mapping[int, float]) -> None:
        """Seconds of a step by its number of rows, of at least one number."""
        self._measured = sorted(measured_s.items())
        self._ratios: deque[float] = deque(maxlen=NEWEST)
        self._factor = 1.0

    def note(self, rows: int, seconds: float) -> None:
        """A step has been made."""
        self._ratios.append(seconds / self._first_s(rows))
        self._factor = statistics.median(self._ratios)

    def step_s(self, rows: int) -> float:
        """Seconds that a step of so many rows takes now."""
        return self._first_s(rows) * self._factor

    def _first_s(self, rows: int) -> float:
        """Between two measurements in proportion, beyond the largest as the largest one for each row."""
        least, most = self._measured[0], self._measured[-1]
        if rows <= least[0]:
            return least[1]
        if rows >= most[0]:
            return most[1] * rows / most[0]
        (low, low_s), (high, high_s) = next(pair for pair in pairwise(self._measured) if rows <= pair[1][0])
        return low_s + (high_s - low_s) * (rows - low) / (high - low)
