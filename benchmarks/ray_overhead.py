"""What a run costs more on a Ray cluster that runs than on this machine alone: the same echo trial in turns.

    .venv/bin/python benchmarks/ray_overhead.py --pairs 8

Each pair is one run by `--engine local` and one by `--engine ray`, in changing order, both warm: papermill is imported.
What is timed is a job's way through the engine, from the order to the result in its folder.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from yapbench.engines.job import Engine, Job
from yapbench.engines.local import LocalEngine
from yapbench.engines.ray_cluster import RayEngine

PARAMETERS = {"client": "echo_pcm", "concurrency": "1", "requests": 3, "warmup": 1, "pace": 0.0, "sweep": "overhead"}


def timed(engine: Engine, folder: Path) -> tuple[float, float]:
    """Seconds of one run, and those of them that were not its notebook's; RuntimeError when it has no result."""
    began_s = time.perf_counter()
    (done,) = engine.run([Job("05_echo", "echo", PARAMETERS, folder)])
    if done.status != "done":
        raise RuntimeError(f"{folder}: {done.status}: {done.error}")
    whole_s = time.perf_counter() - began_s
    return whole_s, whole_s - done.worked_s


def interval(values: list[float]) -> tuple[float, float]:
    """95 % of the median, by bootstrap."""
    drawn = np.random.default_rng(0).choice(values, size=(2000, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=8)
    pairs = parser.parse_args().pairs
    os.environ.update(RAY_worker_niceness="0", RAY_prestart_worker_first_driver="0")
    ray: Any = importlib.import_module("ray")
    found: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory(prefix="yapbench-overhead-") as place:
        folder = Path(place) / "overhead"
        folder.mkdir()
        with LocalEngine() as local, RayEngine(address="local") as remote:
            began_s = time.perf_counter()
            engines: dict[str, Engine] = {"local": local, "ray": remote}
            for name, engine in engines.items():
                print(
                    f"first run by {name}, not counted: {timed(engine, folder / f'first-{name}')[0]:.1f} s", flush=True
                )
            for number in range(pairs):
                for name in sorted(engines, reverse=bool(number % 2)):
                    found[name].append(timed(engines[name], folder / f"{name}-{number}"))
                print(
                    f"pair {number + 1}: "
                    + ", ".join(f"{n} {v[-1][0]:.2f} s, {v[-1][1]:.2f} s of it the engine" for n, v in found.items()),
                    flush=True,
                )
            print(f"{time.perf_counter() - began_s:.0f} s in all, load {os.getloadavg()[0]:.1f}, Ray {ray.__version__}")
    for part, what in enumerate(("whole run", "outside of the notebook")):
        local_s, ray_s = ([seconds[part] for seconds in found[name]] for name in ("local", "ray"))
        more = [one - other for one, other in zip(ray_s, local_s, strict=True)]
        low, high = interval(more)
        print(f"{what}: local {statistics.median(local_s):.2f} s, ray {statistics.median(ray_s):.2f} s (medians)")
        print(f"  ray - local: {statistics.median(more):+.2f} s a run, 95 % {low:+.2f} to {high:+.2f}, {pairs} pairs")


if __name__ == "__main__":
    main()
