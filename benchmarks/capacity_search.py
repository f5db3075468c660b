"""How well the search for capacity finds what is known: virtual servers, many seeds, probes of several lengths.

`python benchmarks/capacity_search.py --seeds=200`. Nothing sleeps and no server is started: see
tests/yapbench/virtual_queue.py for the servers.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from tests.yapbench.virtual_queue import POOL, Queue, clerks, recogniser, searched
from yapbench.capacity import Search, SearchOptions, Verdict

SECONDS = (10.0, 20.0, 60.0, 120.0)
"""Of a probe."""

HEAD = " in 2 %  in 5 %  95 % in  covers   width  mean max    found claim/N    over real time CPU time"


@dataclass(frozen=True)
class Found:
    """One search beside the truth."""

    error: float
    """(estimate - capacity) / capacity; 1 where there is no estimate."""
    covered: bool
    width: float
    """Of the interval, a share; infinite where it is open."""
    probes: int
    claimed: float
    """Claimed level / capacity; 0 without a claim."""
    hours: float
    """What the probes would take in real time."""


def find(server: tuple[Queue, float], seed: int, seconds: float, utterances: int) -> Found:
    """One search of a server with its known capacity."""
    queue, capacity = server
    search = Search(SearchOptions(replicates=200))
    seen = searched(queue, search, seed=seed, seconds=seconds, utterances=utterances)
    answer = search.answer()
    low, high = answer.low or 0.0, answer.high or np.inf
    return Found(
        error=(answer.estimate or 2 * capacity) / capacity - 1,
        covered=low <= capacity <= high,
        width=high / low - 1 if low else np.inf,
        probes=len(seen),
        claimed=(answer.claimed or 0) / capacity if answer.verdict is Verdict.FOUND else 0.0,
        hours=sum((item.n + item.level) / (item.finished_per_s or np.inf) for item in seen) / 3600,
    )


def line(name: str, found: list[Found], seconds: float) -> str:
    """One row of the table."""
    errors = np.abs([each.error for each in found])
    claims = np.array([each.claimed for each in found])
    held = claims[claims > 0]
    parts = [
        f"{name:<20}",
        f"{100 * np.mean(errors <= 0.02):>5.1f} %",
        f"{100 * np.mean(errors <= 0.05):>5.1f} %",
        f"{100 * np.quantile(errors, 0.95):>5.1f} %",
        f"{100 * np.mean([each.covered for each in found]):>5.1f} %",
        f"{100 * np.median([each.width for each in found]):>5.1f} %",
        f"{np.mean([each.probes for each in found]):>5.1f}",
        f"{max(each.probes for each in found):>3}",
        f"{100 * np.mean(claims > 0):>5.1f} %",
        f"{100 * np.median(held) if held.size else 0:>5.1f} %",
        f"{100 * np.mean(claims > 1):>5.1f} %",
        f"{60 * np.median([each.hours for each in found]):>5.0f} min",
        f"{seconds:>5.1f} s",
    ]
    return " ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--seconds", type=float, nargs="+", default=SECONDS, help="of a probe")
    parser.add_argument("--utterances", type=int, default=300, help="of a probe at the least")
    parser.add_argument("--servers", choices=("recognisers", "clerks"), nargs="+", default=["recognisers"])
    asked = parser.parse_args()
    print(f"{'servers, probe of':<20} {HEAD}")
    for kind in asked.servers:
        known = [recogniser(number) for number in range(POOL)] if kind == "recognisers" else []
        for seconds in asked.seconds:
            began = time.process_time()
            found = [
                find(known[seed % POOL] if known else clerks(seed), seed, seconds, asked.utterances)
                for seed in range(asked.seeds)
            ]
            print(line(f"{kind}, {seconds:g} s", found, time.process_time() - began), flush=True)


if __name__ == "__main__":
    main()
