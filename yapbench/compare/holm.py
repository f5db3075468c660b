"""Holm's step-down adjustment of many p-values (Holm 1979, Scand. J. Statist. 6: 65-70). Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def adjusted(p_values: Sequence[float]) -> NDArray[np.float64]:
    """(m,) the smallest level at which Holm's procedure rejects each hypothesis, in the order given.

    The k-th smallest p is multiplied by m - k (k from 0), never falls below an earlier one and never exceeds 1. The
    chance of any false rejection is then at most the level, whatever the p-values have to do with each other.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    steps = np.maximum.accumulate(given[order] * np.arange(given.size, 0, -1))
    found = np.empty_like(given)
    found[order] = np.minimum(steps, 1.0)
    return found
