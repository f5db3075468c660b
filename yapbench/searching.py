"""Puts one load after another on a running server until a search for its capacity has no more to ask.

Knows probes and their files; what is probed next, and what it all means, is capacity/'s.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd

from yapbench.capacity.level import Level
from yapbench.capacity.observation import Observation, observe, uncounted
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.search import Search
from yapbench.capacity.steps import Probe
from yapbench.load import LoadFailure, LoadProfile, LoadResult, parts
from yapbench.monitoring.counters import Samples
from yapbench.schema import UTTERANCES, Phase
from yapbench.store import UTTERANCES_FILE, read_table

PROBE: Final = ".probe-"
"""How the folder of a probe begins, in that of its trial."""

Put = Callable[[LoadProfile, Path], tuple[LoadResult, list[dict[str, Any]]]]
"""Puts a load on the server, its rows into a folder; also gives the machine's samples of that time."""


@dataclass
class Searched:
    """What all probes left; the rows of their utterances lie in one file."""

    points: list[dict[str, Any]] = field(default_factory=list)
    machine_rows: list[dict[str, Any]] = field(default_factory=list)
    failure: LoadFailure | None = None


LOAD_GENERATOR: Final = "the most that the load generator of this machine is trusted with"
SEATS: Final = "all the seats that the server has"


def limited(options: SearchOptions, trusted: float | None, *, workers: int, seats: int | None = None) -> SearchOptions:
    """The options with no more streams than the server has seats for and the load generator is trusted with.

    `trusted`: one process on this machine. What is refused for want of a seat shows nothing but the number of seats.
    """
    limits = [(options.most, options.most_is)]
    limits += [(math.floor(trusted * workers), LOAD_GENERATOR)] if trusted is not None else []
    limits += [(seats, SEATS)] if seats is not None else []
    most, most_is = min(limits, key=lambda limit: limit[0])
    most = max(1, most)
    return replace(options, most=most, start=min(options.start, most), most_is=most_is)


def profile_of(probe: Probe, load: LoadProfile) -> LoadProfile:
    """One level, once; users begin spread over an utterance, and everyone's first one is warm-up."""
    warmup = max(load.warmup, probe.level)
    return replace(
        load,
        levels=(float(probe.level),),
        repeats=1,
        first_repeat=probe.repeat,
        warmup=warmup,
        spread=True,
        workers=min(load.workers, probe.level),
    )


def run(
    options: SearchOptions,
    load: LoadProfile,
    *,
    info: Mapping[str, Any],
    folder: Path,
    put: Put,
    say: Callable[[str], None] = print,
) -> Searched:
    """Probe until the search is over or the server is gone; utterances.parquet in `folder` then holds all rows.

    `info`: trial.json as far as it is known. Each probe is one line to `say`.
    """
    search, done = Search(options), Searched()
    places: list[Path] = []
    while done.failure is None and (probe := search.next()) is not None:
        places.append(folder / f"{PROBE}{len(places)}")
        result, machine_rows = put(profile_of(probe, load), places[-1])
        done.points += result.points
        done.machine_rows += machine_rows
        done.failure = result.failure
        if done.failure is None:
            seen = _observed(probe, places[-1], result.points, machine_rows, info)
            search.take(seen)
            say(line(probe, seen, options))
    parts.join([place / UTTERANCES_FILE for place in places], folder / UTTERANCES_FILE, UTTERANCES)
    for place in places:
        shutil.rmtree(place)
    return done


def line(probe: Probe, seen: Observation, options: SearchOptions) -> str:
    """One probe in words: why, and what it showed."""
    tail_ms = Level(seen.level, (seen,), (), options).tail_ms
    tail = "no final" if tail_ms is None else f"{options.percentile} {tail_ms:.0f} ms"
    failed = f", {seen.failed} of {seen.n} failed" if seen.failed else ""
    doubt = "" if seen.valid else f", thrown away: {'; '.join(seen.reasons)}"
    what = "client" if seen.since == "latency" else "stream"
    many = "" if probe.level == 1 else "s"
    return f"{probe.level} {what}{many} ({probe.reason}): {tail}{failed}{doubt}"


def _observed(
    probe: Probe,
    place: Path,
    points: Sequence[Mapping[str, Any]],
    machine_rows: Sequence[Mapping[str, Any]],
    info: Mapping[str, Any],
) -> Observation:
    rows = read_table(place / UTTERANCES_FILE, UTTERANCES)
    if not points or not (rows["phase"] == Phase.STEADY).any():
        return uncounted(probe.level, probe.repeat)
    spans = [(int(point["start_ns"]), int(point["end_ns"])) for point in points]
    return observe(rows, Samples.of(pd.DataFrame(machine_rows)), spans, info)
