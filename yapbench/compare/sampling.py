"""Statistics of one side under bootstrap weights: percentiles, shares, ratios of sums, rates over slices of time.

Pure; knows values and weights, not what they are. NaN is a row that takes no part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yapbench import stats
from yapbench.compare.effect import Sampled
from yapbench.measures import SLICES
from yapbench.schema import Outcome, Phase
from yapbench.stats import Weights

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def percentiles(values: Floats, rounds: Labels, weights: Weights, shares: Sequence[float]) -> list[Sampled]:
    """The quantiles `shares` of `values` (n,); n must leave at least one value."""
    here = np.isfinite(values)
    kept, statistics = values[here], stats.quantiles(shares)
    return _sampled(lambda chosen: statistics(kept, chosen), here, rounds, weights)


def ratio(above: Floats, below: Floats, rounds: Labels, weights: Weights) -> Sampled:
    """Sum of `above` / sum of `below`, both (n,); a share where `below` is all ones."""
    here = np.isfinite(above) & np.isfinite(below)
    top, bottom = above[here], below[here]

    def statistic(chosen: Weights) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray([(chosen @ top) / (chosen @ bottom)], dtype=np.float64)

    return _sampled(statistic, here, rounds, weights)[0]


def _sampled(
    statistics: Callable[[Weights], Floats], here: NDArray[np.bool_], rounds: Labels, weights: Weights
) -> list[Sampled]:
    """`statistics`: (b, rows that are here) weights -> (k, b). A round alone has weight 0 for all others."""
    numbers = range(int(rounds.max(initial=-1)) + 1)
    once = np.stack([np.ones(rounds.size, dtype=bool), *(rounds == number for number in numbers)])
    plain = statistics(once[:, here].astype(np.float32))
    drawn = statistics(weights if here.all() else weights[:, here])
    n = int(here.sum())
    return [Sampled(float(own[0]), replicas, own[1:], n) for own, replicas in zip(plain, drawn, strict=True)]


def slices(rows: pd.DataFrame, amounts: Floats) -> tuple[Floats, Labels, Labels, int]:
    """What was finished per second in equal stretches of each round's counted time, as measures.py and rates.py cut it.

    `rows`: of one level, all phases, with `round`; `amounts` (n,): what each of them counts for. Returns the rates,
    their rounds and their places (all (k,)), and how many rows they count.
    """
    rates: list[Floats] = []
    numbers: list[int] = []
    n = 0
    for number, group in rows.assign(amount=amounts).groupby("round", sort=True):
        window = _window(group)
        if window is None:
            continue
        first_ns, last_ns = window
        ended = group[(group["phase"] != Phase.WARMUP) & (group["outcome"] == Outcome.OK)]
        ended = ended[(ended["ended_ns"] > first_ns) & (ended["ended_ns"] <= last_ns)]
        at = (ended["ended_ns"].to_numpy(dtype=np.float64) - first_ns) / (last_ns - first_ns)
        found = np.histogram(at, bins=SLICES, range=(0, 1), weights=ended["amount"].to_numpy(dtype=np.float64))[0]
        rates.append(found / ((last_ns - first_ns) / 1e9 / SLICES))
        numbers.append(int(str(number)))
        n += len(ended)
    place = np.tile(np.arange(SLICES), len(numbers))
    return np.concatenate([np.empty(0), *rates]), np.repeat(np.array(numbers, dtype=np.int64), SLICES), place, n


def _window(rows: pd.DataFrame) -> tuple[int, int] | None:
    """(after, until) in ns of one round: from the last warm-up end to the last counted one."""
    counted, warm = rows[rows["phase"] == Phase.STEADY], rows[rows["phase"] == Phase.WARMUP]
    if counted.empty:
        return None
    first_ns = max(int(counted["intended_ns"].min()), int(warm["ended_ns"].max()) if len(warm) else 0)
    last_ns = int(counted["ended_ns"].max())
    return (first_ns, last_ns) if last_ns > first_ns else None
