"""Reads an export back: its trials, its points as they were measured, and the utterances of one of them.

Knows the exported files alone; the sweep that they are from need not be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from yapbench import store
from yapbench.errors import CorruptFile
from yapbench.export import EXPORT_VERSION, MARK, utterances
from yapbench.measures import Point
from yapbench.stats import Estimate
from yapbench.validity import Validity, Verdict

Row = dict[str, Any]


@dataclass(frozen=True)
class Exported:
    """One sweep as it was exported."""

    folder: Path
    sweep: str
    streams: bool
    trials: list[Row]
    """Rows of the table `trials`: what became of each, and the facts about it."""
    points: list[Point]
    """Over all repeats, numbers to six digits. Sizes of batches are not exported."""
    meanings: Mapping[str, str]
    """What the columns of `points` are."""
    units: Mapping[str, str]

    @property
    def settings(self) -> dict[str, Mapping[str, Any]]:
        """The settings of each trial that has a point."""
        return {point.trial_id: point.setting for point in self.points}

    @property
    def left_out(self) -> list[str]:
        """Trials without a result, one line each."""
        return _left_out(self.trials)

    def utterances(self, trial_id: str, level: float) -> pd.DataFrame:
        """The counted utterances of one point: rows of `by_utterance`."""
        chosen = [("trial_id", "=", trial_id), ("level", "=", level), ("counted", "=", True)]
        found: pd.DataFrame = _table(self.folder / f"{utterances.NAME}.parquet", chosen).to_pandas()
        return found


def is_export(folder: Path) -> bool:
    """Whether a whole export lies there."""
    return (folder / MARK).exists()


def read(folder: Path) -> Exported:
    """Read what `export` wrote into `folder`. Raises CorruptFile for a file that is missing, damaged or not known."""
    about = store.read_json(folder / MARK)
    if not isinstance(about, dict) or about.get("export_version") != EXPORT_VERSION:
        raise CorruptFile(folder / MARK, f"no export of version {EXPORT_VERSION}")
    dictionary = [row for row in _rows(folder, "columns") if row["table"] == "points"]
    estimates: dict[tuple[str, float], dict[str, Estimate]] = {}
    for row in _rows(folder, "points_long"):
        estimates.setdefault((row["trial_id"], row["level"]), {})[row["measure"]] = _estimate(row)
    found = [
        _point(row, estimates[row["trial_id"], row["level"]], about["settings"], streams=about["streams"])
        for row in _rows(folder, "points")
    ]
    return Exported(
        folder=folder,
        sweep=str(about["sweep"]),
        streams=bool(about["streams"]),
        trials=_rows(folder, "trials"),
        points=found,
        meanings={row["column"]: row["meaning"] for row in dictionary},
        units={row["column"]: row["unit"] for row in dictionary},
    )


def left_out(folder: Path) -> list[str]:
    """The trials of the export in `folder` that have no result, one line each: which, what became of it, and why."""
    return _left_out(_rows(folder, "trials"))


def _left_out(trials: Iterable[Row]) -> list[str]:
    return [f"{row['folder']}, {row['status']}: {row['reason']}" for row in trials if row["status"] != "done"]


def _rows(folder: Path, name: str) -> list[Row]:
    found: list[Row] = _table(folder / f"{name}.parquet").to_pylist()
    return found


def _table(path: Path, chosen: list[tuple[str, str, Any]] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, filters=chosen, page_checksum_verification=True, partitioning=None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptFile(path, "missing" if not path.exists() else f"cannot be read: {error}") from error


def _estimate(row: Row) -> Estimate:
    bounds = (row["value"], row["low"], row["high"])
    return Estimate(*bounds, n=row["samples"], indicative=row["indicative"], reason=row["missing"] or "")


def _point(row: Row, values: Mapping[str, Estimate], settings: Mapping[str, str], *, streams: bool) -> Point:
    counts = [part.split(" ") for part in row["failures"].split(", ") if part]
    harness = {name: row[name] for name in Validity.__dataclass_fields__ if name not in ("verdict", "reasons")}
    return Point(
        trial_id=row["trial_id"],
        setting={name: row[column] for name, column in settings.items()},
        kind=row["load"],
        level=row["level"],
        repeat=None,
        repeats=row["repeats"],
        n=row["n"],
        failures={outcome: int(count) for count, outcome in counts},
        slo_ms=row["slo_ms"],
        validity=Validity(Verdict(row["verdict"]), tuple(filter(None, row["reasons"].split("; "))), **harness),
        values=values,
        batch_sizes={},
        streams=streams,
    )
