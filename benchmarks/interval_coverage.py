"""How often the 95 % intervals hold the truth, in made-up worlds whose truth is known: bar H8.

    python benchmarks/interval_coverage.py [--worlds=1000] [--repeats=3] [--replicates=1000] [--three-stages]
        [--json=FILE]

A world is `--repeats` runs of 130 utterances of 1, 8 or 32 streams. Every repeat is slower or faster by an effect of
its own (standard deviation 0, 2, 5 or 10 %), within it every stream by one of its own (0, 5 or 10 %), and so is the
rate of word errors. Truth is what infinitely many such repeats would give. Bar: 91-97 %, goal: 93-97 %.
`--three-stages`: the plain percentile bootstrap of repeats, streams and utterances instead, for comparison.
One core; ten minutes for 1000 worlds, one for 100.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, only this folder is on it

from yapbench import stats
from yapbench.stats import Estimate, Floats, Resample
from yapbench.streams import pooling

UTTERANCES = 130
STREAMS = (1, 8, 32)
REPEAT_EFFECTS = (0.0, 0.02, 0.05, 0.10)
STREAM_EFFECTS = (0.0, 0.05, 0.10)
BAR = (0.91, 0.97)
OWN_SPREAD = 0.25
"""Standard deviation of an utterance's own log latency; of its own log word error rate twice that."""
WER = 0.1
_Z95 = 1.6448536269514722


@dataclass(frozen=True)
class Size:
    """One kind of world."""

    repeats: int
    streams: int
    repeat_effect: float
    stream_effect: float

    @property
    def labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Repeat and stream of each utterance."""
        each = np.arange(UTTERANCES) % self.streams
        return np.repeat(np.arange(self.repeats), UTTERANCES), np.tile(each, self.repeats)

    def truth(self) -> dict[str, float]:
        """p50, p95 and mean of the log-normal that all effects make together, and the mean word error rate."""
        together = self.repeat_effect**2 + self.stream_effect**2
        spread = math.sqrt(together + OWN_SPREAD**2)
        own = (2 * OWN_SPREAD) ** 2
        return {
            "p50": 1.0,
            "p95": math.exp(_Z95 * spread),
            "mean": math.exp(spread**2 / 2),
            "wer": WER * math.exp((together + own) / 2),
        }


@dataclass(frozen=True)
class World:
    """What one experiment would have measured; each (n,)."""

    latency: Floats
    words: NDArray[np.int64]
    errors: NDArray[np.int64]


@dataclass(frozen=True)
class Covered:
    """Share of the worlds whose interval holds the truth, and the interval's median half width per truth."""

    size: Size
    share: dict[str, float]
    half_width: dict[str, float]


def world(size: Size, rng: np.random.Generator) -> World:
    """One world; at most nine words in ten are wrong."""
    repeat, stream = size.labels

    def effects() -> Floats:
        of_repeat = rng.normal(0, size.repeat_effect, size.repeats)[repeat]
        own = rng.normal(0, size.stream_effect, (size.repeats, size.streams))[repeat, stream]
        return np.asarray(of_repeat + own, dtype=np.float64)

    latency = np.exp(effects() + rng.normal(0, OWN_SPREAD, repeat.size))
    words = rng.integers(4, 16, repeat.size)
    rate = np.minimum(0.9, WER * np.exp(effects() + rng.normal(0, 2 * OWN_SPREAD, repeat.size)))
    return World(latency, words, rng.binomial(words, rate))


def estimates(drawn: Resample, found: World) -> dict[str, Estimate]:
    """What a report would say of a world."""
    p50, p95 = stats.percentiles(drawn, found.latency, (0.5, 0.95))
    return {
        "p50": p50,
        "p95": p95,
        "mean": drawn.estimate(found.latency, stats.mean),
        "wer": pooling.ratio(drawn, found.errors, found.words, "no words"),
    }


def three_stages(size: Size, replicates: int) -> Resample:
    """Repeats, within them streams, within these utterances, each with replacement; the interval is its percentiles."""
    rng = np.random.default_rng(stats.SEED)
    repeat, stream = size.labels
    weights = np.zeros((replicates, repeat.size), dtype=np.float32)
    copies = rng.multinomial(size.repeats, np.full(size.repeats, 1 / size.repeats), size=replicates)
    for k in range(size.repeats):
        of_streams = rng.multinomial(copies[:, k] * size.streams, np.full(size.streams, 1 / size.streams))
        for s in range(size.streams):
            mine = np.flatnonzero((repeat == k) & (stream == s))
            weights[:, mine] = rng.multinomial(of_streams[:, s] * mine.size, np.full(mine.size, 1 / mine.size))
    return Resample(np.zeros(repeat.size, dtype=np.int32), weights, 1.0)


def covered(size: Size, drawn: Resample, worlds: int, *, seed: int = 7) -> Covered:
    """Measure so many worlds with the weights of `drawn`."""
    rng, truth = np.random.default_rng(seed), size.truth()
    hits = dict.fromkeys(truth, 0)
    widths: dict[str, list[float]] = {name: [] for name in truth}
    for _ in range(worlds):
        for name, one in estimates(drawn, world(size, rng)).items():
            if one.low is None or one.high is None:
                raise ValueError(f"{name} of {size} has no interval")
            hits[name] += one.low <= truth[name] <= one.high
            widths[name].append((one.high - one.low) / 2 / truth[name])
    return Covered(
        size,
        {name: hits[name] / worlds for name in truth},
        {name: float(np.median(each)) for name, each in widths.items()},
    )


def sizes(repeats: int) -> Iterator[Size]:
    """All kinds of worlds for so many repeats."""
    for streams, of_repeat, of_stream in itertools.product(STREAMS, REPEAT_EFFECTS, STREAM_EFFECTS):
        yield Size(repeats, streams, of_repeat, of_stream)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--replicates", type=int, default=stats.REPLICATES)
    parser.add_argument("--three-stages", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = []
    print("streams  repeats differ  streams differ |    p50    p95   mean    WER | half width, %")
    for size in sizes(asked.repeats):
        drawn = (
            three_stages(size, asked.replicates)
            if asked.three_stages
            else Resample.draw(*size.labels, replicates=asked.replicates)
        )
        one = covered(size, drawn, asked.worlds)
        found.append(one)
        shares = " ".join(f"{100 * share:6.1f}" for share in one.share.values())
        widths = " ".join(f"{100 * width:6.1f}" for width in one.half_width.values())
        effects = f"{100 * size.repeat_effect:>13g} % {100 * size.stream_effect:>13g} %"
        print(f"{size.streams:>7} {effects} | {shares} | {widths}", flush=True)
    for name in found[0].share:
        each = [one.share[name] for one in found]
        outside = sum(not BAR[0] <= share <= BAR[1] for share in each)
        print(f"{name:>4}: {100 * min(each):.1f} to {100 * max(each):.1f} %, {outside} of {len(each)} outside of 91-97")
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
