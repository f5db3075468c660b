"""One thing that was looked at, and how a list of them is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from yapbench.errors import ExitCode


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    remedy: str = ""
    """One command, or one line of what to do; empty when all is well."""
    needed: bool = True
    """Without it something that everybody uses does not work."""
    heading: str = "machine"


def report(found: Iterable[Finding]) -> int:
    """Print them by heading and return the exit code: 2 when something needed is missing."""
    good = True
    for heading, group in groupby(found, key=lambda finding: finding.heading):
        print(heading)
        for finding in group:
            mark = "ok  " if finding.ok else "FAIL" if finding.needed else "note"
            print(f"  {mark}  {finding.what}" + ("" if finding.ok else f"\n        -> {finding.remedy}"))
            good = good and (finding.ok or not finding.needed)
    return ExitCode.OK if good else ExitCode.USAGE
