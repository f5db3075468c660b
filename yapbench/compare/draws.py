"""Paired bootstrap weights: within each round whole streams are drawn, the same ones on both sides.

Knows labels of rows; knows no value. Two sides that have nothing to do with each other may be drawn together as well:
the products of their deviations then cancel on average, and the variance of the difference stays right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yapbench.stats import SEED, STREAMS_DRAWN_WHOLE, Weights

REPLICATES: Final = 400
"""Only a variance is taken from them, which so many give to 7 % (standard error)."""

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """Where one side's rows come from; all (n,)."""

    rounds: Labels
    """0.. without gaps."""
    streams: Labels
    order: Labels
    """Place of an utterance within its round: equal seeds send equal utterances at equal places."""

    @classmethod
    def of(cls, rounds: ArrayLike, streams: ArrayLike, order: ArrayLike) -> Rows:
        """From anything with whole numbers."""
        return cls(*(np.asarray(each, dtype=np.int64) for each in (rounds, streams, order)))


@dataclass(frozen=True)
class Draws:
    """How often each row was drawn, and how far a variance over the replicates can be trusted."""

    before: Weights
    """(replicates, n before)."""
    after: Weights
    freedom: float
    """Blocks less one, summed over the rounds: degrees of freedom of the variance."""
    inflation: float
    """Blocks / (blocks - 1): by so much the variance over replicates is too small."""


def draw(before: Rows, after: Rows, *, replicates: int = REPLICATES, seed: int = SEED) -> Draws:
    """Draw both sides together; swapping them swaps the weights and changes nothing else.

    Below five streams on a side single utterances are drawn, paired by their place.
    """
    rng = np.random.default_rng(seed)
    weights = [np.zeros((replicates, side.rounds.size), dtype=np.float32) for side in (before, after)]
    blocks = rounds = 0
    for number in np.unique(np.concatenate([before.rounds, after.rounds])):
        members = [np.flatnonzero(side.rounds == number) for side in (before, after)]
        labels = _labels((before, after), members)
        names, codes = np.unique(np.concatenate(labels), return_inverse=True)
        drawn = rng.multinomial(names.size, np.full(names.size, 1 / names.size), size=replicates).astype(np.float32)
        split = np.split(codes, [members[0].size])
        for side, chosen, code in zip(weights, members, split, strict=True):
            side[:, chosen] = drawn[:, code]
        blocks, rounds = blocks + names.size, rounds + 1
    freedom = max(1, blocks - rounds)
    return Draws(weights[0], weights[1], float(freedom), blocks / freedom)


def _labels(sides: tuple[Rows, Rows], members: list[Labels]) -> list[Labels]:
    """What is drawn of one round, as a label for each row: its stream, or its place."""
    streams = [side.streams[chosen] for side, chosen in zip(sides, members, strict=True)]
    if min(np.unique(each).size for each in streams) >= STREAMS_DRAWN_WHOLE:
        return streams
    return [side.order[chosen] for side, chosen in zip(sides, members, strict=True)]
