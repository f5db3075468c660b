"""`yapbench compare BEFORE AFTER`: both sides are read, compared, shown and written; the answer is the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console

from yapbench import store
from yapbench.compare import page, record
from yapbench.compare.comparison import Comparison, compare
from yapbench.compare.metrics import THRESHOLD
from yapbench.compare.show import show
from yapbench.compare.sides import open_sides
from yapbench.errors import ExitCode, UsageError
from yapbench.report.publish import portable

PAGE: Final = "compare.html"
RECORD: Final = "compare.json"


def run(
    before: str,
    after: str,
    *,
    runs_dir: Path,
    sweep: str | None = None,
    out: Path | None = None,
    threshold: float = THRESHOLD,
    console: Console,
) -> ExitCode:
    """Compare two folders of results, names of sweeps below `runs_dir`, or commits that one sweep measured.

    The page and its data go to `out`, a folder, or a page's file with the data beside it; else to the folder of the
    second side. 4: something got worse; 5: no valid point is left. Raises NothingRan where nothing is on both sides,
    UsageError for a side that is not there and for a threshold that is none.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"threshold is {threshold!r}; it must be a share between 0 and 1, such as 0.05")
    found = compare(*open_sides(before, after, runs_dir=runs_dir, sweep=sweep), threshold=threshold)
    path = write(found, out or found.after.folder)
    show(found, console)
    console.print(f"page: {path}", soft_wrap=True)
    return found.exit_code


def write(found: Comparison, out: Path) -> Path:
    """Write page and data; returns the page's path."""
    path = out if out.suffix == ".html" else out / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_text(path, portable(page.render(found)))
    store.write_json(path.with_suffix(".json"), record.as_dict(found))
    return path
