"""How late frames of many simultaneous streams leave, and what a frame costs: bars H1 to H3 of `yapbench calibrate`.

`python benchmarks/pacing.py --seconds=60 --json=pacing.json`. Linux.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from yapbench.calibrate import plan, session
from yapbench.calibrate.command import progress
from yapbench.calibrate.places import places
from yapbench.calibrate.show import number
from yapbench.calibrate.verdict import verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=plan.FULL_SECONDS)
    parser.add_argument("--target", choices=("echo", "sink"), help="for every case; default: as `yapbench calibrate`")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    chosen = plan.pacing(asked.seconds)
    if asked.target:
        chosen = replace(chosen, streams=tuple(replace(case, target=asked.target) for case in chosen.streams))
    at = places()
    with progress(Console(stderr=True)) as say:
        found = session.measure(chosen, at, say)
    for bar in session.in_order(found.bars):
        reached = f"{number(bar.value):>8} {bar.unit:<6} floor {number(bar.floor):>6}  {bar.verdict:<12}"
        print(f"{bar.bar} {bar.what:<70}{reached} {bar.note}")
    word, reasons = verdict(found.runs, note=at.note)
    print("\n".join([str(word), *reasons]))
    if asked.json:
        asked.json.write_text(json.dumps([asdict(bar) for bar in found.bars], indent=1) + "\n")


if __name__ == "__main__":
    main()
