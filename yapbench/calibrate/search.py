"""The largest number for which something still holds: growing by half, then bisection. Knows no streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_GRAIN: Final = 1 / 8
_LEAST: Final = 4


def largest(fits: Callable[[int], bool], *, first: int, most: int, thorough: bool = True) -> int | None:
    """The largest n up to `most` with `fits(n)`, to within an eighth; None: not even a handful fits.

    Begins at `first`. Not `thorough`: the first n that fits, halving from there, which is only a lower bound.
    """
    low, high = 0, most + 1  # low fits, high does not
    n = min(first, most)
    while n >= _LEAST:
        if fits(n):
            low = n
            if not thorough or high <= most or n == most:
                break
            n = min(n + n // 2, most)
        else:
            high = n
            if low:
                break
            n //= 2
    if not low:
        return None
    while thorough and high <= most and high - low > max(1, _GRAIN * low):
        n = (low + high) // 2
        low, high = (n, high) if fits(n) else (low, n)
    return low
