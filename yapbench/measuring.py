"""Trials -> their points and summaries; where there is much to measure, a second process takes half of the trials.

Knows how to share work; the numbers are those of measures.py, the same from either process. The second one is started
as a command, which works from a notebook and a script alike: nobody's main module is imported again.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from yapbench import measures, store
from yapbench.measures import Point
from yapbench.store import TrialData

Told = tuple[list[Point], dict[str, Any]]
"""A trial's points over all repeats, and what its summary.json says."""

ROOT: Final = Path(__file__).resolve().parent.parent
MUCH: Final = 8000
"""Rows from which on a second process is worth the seconds that it takes to import everything."""


def told(trials: Sequence[TrialData]) -> list[Told]:
    """Of each trial, in their order."""
    theirs = _half(trials) if (os.cpu_count() or 1) > 1 else []
    if not theirs:
        return [measures.points_and_summary(trial) for trial in trials]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", __name__, *(str(trials[k].folder.resolve()) for k in theirs)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths}
    ) as other:
        try:
            mine = {k: measures.points_and_summary(trials[k]) for k in range(len(trials)) if k not in theirs}
            said, _ = other.communicate()
        except BaseException:
            other.kill()
            raise
    # What stopped it will be raised here, or it was no fault of the trials.
    found = [measures.points_and_summary(trials[k]) for k in theirs] if other.returncode else pickle.loads(said)
    both = mine | dict(zip(theirs, found, strict=True))
    return [both[k] for k in range(len(trials))]


def _half(trials: Sequence[TrialData]) -> list[int]:
    """Places of the trials that together have at most half of the rows; none where that is not worth it."""
    rows = [len(trial.utterances) for trial in trials]
    found: list[int] = []
    if sum(rows) < MUCH:
        return found
    for k in sorted(range(len(rows)), key=lambda k: rows[k]):
        if sum(rows[place] for place in [*found, k]) <= sum(rows) / 2:
            found.append(k)
    return found


if __name__ == "__main__":
    sys.stdout.buffer.write(
        pickle.dumps([measures.points_and_summary(store.read_trial(Path(name))) for name in sys.argv[1:]])
    )
