"""Seconds, bytes and network requests of the report of a sweep of sixty points: bar H12.

    python benchmarks/report_build.py [--shape=20x3,60x1] [--repeats=3] [--utterances=130] [--keep=FOLDER] [--json=FILE]

A shape is trials x load levels. Each trial is made-up streams with partials, words and failures; what is measured is
`yapbench report` of their folder, in a process of its own, imports included. Bar: 20 s, 3 MB, no request; goal: 8 s,
1.5 MB. Exit status 1 where the bar is missed.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file, only this folder is on it

from tests.yapbench import made_up_sessions

LEVELS = {1: (8.0,), 2: (1.0, 8.0), 3: (1.0, 8.0, 32.0)}
MOST_SECONDS, GOAL_SECONDS = 20.0, 8.0
MOST_BYTES, GOAL_BYTES = 3_000_000, 1_500_000
_FETCHED = re.compile(
    r"""(?:\b(?:src|href|action|data|poster|srcset)\s*=\s*["']?\s*|url\(\s*["']?|@import\s+["']?)(?:https?:|wss?:|//)""",
    re.IGNORECASE,
)
_CALLED = re.compile(r"\b(?:fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts)\s*\(")


@dataclass(frozen=True)
class Built:
    """One report."""

    trials: int
    levels: int
    utterances: int
    seconds: float
    cpu_seconds: float
    bytes: int
    requests: int
    """Addresses of other hosts that the page would fetch, and calls that could."""

    @property
    def verdict(self) -> str:
        """ "goal", "bar" or "missed"."""
        if self.requests or self.seconds > MOST_SECONDS or self.bytes > MOST_BYTES:
            return "missed"
        return "goal" if self.seconds <= GOAL_SECONDS and self.bytes <= GOAL_BYTES else "bar"


def requests(page: str) -> int:
    """How many things a page would ask another host for. A link that a reader may follow is none."""
    without_links = re.sub(r"<a\s[^>]*>", "<a>", page)
    return len(_FETCHED.findall(without_links)) + len(_CALLED.findall(without_links))


def make(folder: Path, *, trials: int, levels: int, repeats: int, utterances: int) -> None:
    """Write a sweep of so many trials; a fifth of them fails now and then."""
    for number in range(trials):
        made_up_sessions.trial(
            folder / f"{number:02d}a1b2c3d4e5",
            levels=LEVELS[levels],
            count=utterances,
            repeats=repeats,
            slow=1 + number / trials,
            failing_from=8 if number % 5 == 4 else 1e9,
            seed=number,
            settings={"delay_ms": 10.0 * number},
        )


def build(folder: Path) -> tuple[Path, float, float]:
    """The page, wall seconds and CPU seconds of `yapbench report`."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "yapbench", "report", str(folder)], check=True, cwd=ROOT, capture_output=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return folder / "report.html", seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(folder: Path, *, trials: int, levels: int, repeats: int, utterances: int) -> Built:
    """Make a sweep in `folder` and build its page."""
    make(folder, trials=trials, levels=levels, repeats=repeats, utterances=utterances)
    path, seconds, cpu_seconds = build(folder)
    page = path.read_text(encoding="utf-8")
    size = path.stat().st_size
    return Built(trials, levels, trials * levels * repeats * utterances, seconds, cpu_seconds, size, requests(page))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", default="20x3,60x1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--utterances", type=int, default=130)
    parser.add_argument("--keep", type=Path, help="write the sweeps here and leave them")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for shape in asked.shape.split(","):
            trials, levels = (int(part) for part in shape.split("x"))
            folder = (asked.keep or Path(scratch)) / shape
            size = {"repeats": asked.repeats, "utterances": asked.utterances}
            one = measured(folder, trials=trials, levels=levels, **size)
            found.append(one)
            print(
                f"{one.trials} trials x {one.levels} levels, {one.utterances} utterances: {one.seconds:.1f} s "
                f"({one.cpu_seconds:.1f} s of CPU), {one.bytes / 1e6:.2f} MB, {one.requests} requests: {one.verdict}",
                flush=True,
            )
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    raise SystemExit(any(one.verdict == "missed" for one in found))


if __name__ == "__main__":
    main()
