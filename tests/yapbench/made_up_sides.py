"""Two sides whose true difference is known, as rows of requests: log-normal latencies with stream and round effects."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from yapbench.compare.effect import Effect
from yapbench.compare.gate import requests
from yapbench.compare.pair import Level

MS: Final = 1_000_000
STREAMS: Final = 8
BASES_MS: Final = (40.0, 60.0, 100.0)
"""Median latency at each of three load levels."""


def rows(
    rng: np.random.Generator,
    *,
    n: int,
    rounds: int,
    base_ms: float,
    sigma: float = 0.3,
    of_stream: ArrayLike = (0.0,) * STREAMS,
    of_round: ArrayLike = (0.0,) * 9,
) -> pd.DataFrame:
    """One side at one level: `n` counted requests over `rounds`; `of_stream`, `of_round`: log factors."""
    each = n // rounds
    number = np.repeat(np.arange(rounds), each)
    order = np.tile(np.arange(each), rounds)
    stream = order % STREAMS
    slow = np.asarray(of_stream)[stream] + np.asarray(of_round)[number]
    taken_ns = base_ms * MS * np.exp(slow + rng.normal(0, sigma, number.size))
    begun_ns = np.empty(number.size)
    for k in range(rounds * STREAMS):  # a closed loop: the next one begins when the answer came
        mine = (number * STREAMS + stream) == k
        begun_ns[mine] = np.concatenate([[0.0], np.cumsum(taken_ns[mine])[:-1]])
    return pd.DataFrame(
        {
            "round": number,
            "stream": stream,
            "index": order,
            "intended_ns": begun_ns.astype(np.int64),
            "ended_ns": (begun_ns + taken_ns).astype(np.int64),
            "outcome": pd.Categorical(["ok"] * number.size),
            "phase": pd.Categorical(["steady"] * number.size),
        }
    )


def family(
    seed: int,
    *,
    n: int,
    elsewhere: int | None = None,
    rounds: int = 3,
    slower: float = 0.0,
    sigma: float = 0.3,
    shared: float = 0.0,
    apart: float = 0.0,
) -> list[Effect]:
    """Effects of three load levels of four numbers, the first level `slower` by so much (0.1: 10 %) on the second side.

    `n`: requests of a side at that level, `elsewhere` at the others, where it is less. `shared`: spread of the round
    effects that both sides have in common, as interleaved runs do; `apart`: of those that each side has for itself. A
    round effect is that of all levels.
    """
    rng = np.random.default_rng(seed)
    both = rng.normal(0, shared, rounds)
    own = [rng.normal(0, apart, rounds) + both for _ in range(2)]
    found: list[Effect] = []
    for number, base_ms in enumerate(BASES_MS):
        of_stream = rng.normal(0, 0.03, STREAMS)
        later_ms = base_ms * (1 + slower) if number == 0 else base_ms
        sides = [
            rows(
                rng,
                n=n if number == 0 else elsewhere or n,
                rounds=rounds,
                base_ms=ms,
                sigma=sigma,
                of_stream=of_stream,
                of_round=effects,
            )
            for ms, effects in zip((base_ms, later_ms), own, strict=True)
        ]
        found += requests(Level(sides[0], sides[1], paired=True)).effects
    return found
