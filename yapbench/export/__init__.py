"""`export` writes a sweep as flat files: points, repeats, utterances, trials, and a dictionary of all their columns.

Every number is computed again from the raw rows, by the functions that the pages use.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from yapbench import store
from yapbench.errors import UsageError
from yapbench.export import points, trials, utterances
from yapbench.export.shared import Shared
from yapbench.export.tables import Table, dictionary
from yapbench.measures import Point
from yapbench.report.gather import Gathered, gather

EXPORT_VERSION: Final = 1
"""Rises when a column gets another meaning."""

MARK: Final = "export.json"
"""Written last: its presence means that the tables beside it are whole and of one export."""

__all__ = ["EXPORT_VERSION", "MARK", "export"]


def export(folder: Path, out: Path) -> list[Path]:
    """Write the sweep in `folder` (runs/<sweep>, or a published one) into `out`; returns what was written.

    Raises NothingRan where there is no trial. A file that cannot be read is named in the table `trials`, with its
    reason, as are failed and unfinished trials: the tables of points hold the finished ones.
    """
    gathered = gather(folder)
    shared = Shared.of(gathered, taken=(*points.OWN, *utterances.OWN, *(column.name for column in trials.FACTS)))
    _begin(out)
    tables = _tables(gathered, shared)
    written = [path for table in [*tables, dictionary(tables)] for path in table.write(out)]
    store.write_json(out / MARK, _about(gathered, shared, tables))
    return [*written, out / MARK]


def _begin(out: Path) -> None:
    """Make the folder, and take away the mark of an older export before the first of its tables is replaced."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"out is {str(out)!r}, which is no folder") from error
    (out / MARK).unlink(missing_ok=True)


def _tables(gathered: Gathered, shared: Shared) -> list[Table]:
    pooled = gathered.points
    alone: list[Point] = []
    for trial in gathered.done:
        mine = [point for point in pooled if point.trial_id == trial.info["trial_id"]]
        alone += points.by_repeat(trial, mine)
    return [
        points.wide("points", pooled, shared),
        points.long("points_long", pooled, shared),
        points.wide(points.BY_REPEAT, alone, shared),
        points.long(f"{points.BY_REPEAT}_long", alone, shared),
        utterances.table(gathered, shared),
        trials.table(gathered, shared.settings),
    ]


def _about(gathered: Gathered, shared: Shared, tables: list[Table]) -> dict[str, object]:
    return {
        "export_version": EXPORT_VERSION,
        "sweep": gathered.name,
        "streams": gathered.streams,
        "rows": {table.name: len(table.data) for table in tables},
        "settings": {name: column.name for name, column in shared.settings.items()},
        "varying": [column.name for column in shared.varying],
    }
