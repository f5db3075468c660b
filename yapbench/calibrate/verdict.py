"""VALID, DISTURBED or INVALID: whether this calibration may be believed at all. Pure.

A bar that is missed does not matter here: a slow client that tells the truth is a valid one.
"""

from __future__ import annotations

from collections.abc import Sequence

from yapbench.calibrate.values import BARE_LIMIT_MS, Health
from yapbench.validity import DISTURBANCE_LIMIT_PERCENT, Verdict


def verdict(runs: Sequence[Health], *, note: str = "") -> tuple[Verdict, list[str]]:
    """The verdict over all runs, with its reasons; `note` is a reason that decides nothing."""
    invalid = [f"{run.name}: {problem}" for run in runs for problem in run.problems]
    others = others_percent(runs)
    if others is not None and others > DISTURBANCE_LIMIT_PERCENT:
        invalid.insert(0, f"other processes used {others:.0f} % of the load's CPU")
    still = [f"{run.name}: {_standstill(run)}" for run in runs if run.stood_still]
    found = Verdict.INVALID if invalid else Verdict.DISTURBED if still else Verdict.VALID
    return found, [*invalid, *still, *([note] if note else [])]


def _standstill(run: Health) -> str:
    if not run.bare_late:
        return run.standstill
    late = f"a bare loop on the load's CPU had a p99 of {run.bare_p99_ms:.2f} ms (limit {BARE_LIMIT_MS:g} ms)"
    return f"the machine stood still, {late}"


def others_percent(runs: Sequence[Health]) -> float | None:
    """Of the load's CPU over all runs together; None where it is not known of any."""
    known = [(run.others_percent, run.seconds) for run in runs if run.others_percent is not None]
    total_s = sum(seconds for _, seconds in known)
    return sum(percent * seconds for percent, seconds in known) / total_s if total_s else None
