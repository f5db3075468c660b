"""Files of a run: written beside their place and renamed into it, read back whole or refused by name.

Knows the layout `runs/<sweep>/<trial_id>/` and the schemas; knows nothing of what the rows mean.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from yapbench.errors import CorruptFile
from yapbench.schema import ADDED, MACHINE, SCHEMA_VERSION, UTTERANCES

TRIAL: Final = "trial.json"
UTTERANCES_FILE: Final = "utterances.parquet"
MACHINE_FILE: Final = "machine.parquet"
GRID: Final = "sweep.yaml"
"""The grid as it was run, beside the trials that came from one."""

READABLE: Final = (1, SCHEMA_VERSION)
"""Schema versions that have a reader. Each older one has a golden trial in tests/golden."""

_MARKS: Final = (TRIAL, UTTERANCES_FILE, MACHINE_FILE, "server.log", "notebook.ipynb", "plan.json")


@dataclass(frozen=True)
class TrialData:
    """One finished or failed trial as it lies on disk.

    `info` is trial.json. `utterances` and `machine` have the columns of `schema.UTTERANCES` and
    `schema.MACHINE`: whole numbers stay exact (int64; pandas' nullable Int64 where a value may be missing,
    never a float), `events` is an array of dicts and `lateness_ns` an array of int64 in each row.
    """

    folder: Path
    info: dict[str, Any]
    utterances: pd.DataFrame
    machine: pd.DataFrame


def write_table(path: Path, rows: Iterable[Mapping[str, object]], schema: pa.Schema) -> None:
    """Write `rows` as Parquet with page checksums; the file appears complete or not at all.

    A key that the schema does not have, or a null where it allows none, raises ValueError: a dropped column
    would be a silent loss.
    """
    rows = [dict(row) for row in rows]
    unknown = set().union(*rows) - set(schema.names) if rows else set()
    if unknown:
        raise ValueError(f"{path.name}: columns not in the schema: {', '.join(sorted(unknown))}")
    table = pa.Table.from_pylist(rows, schema=schema)
    for field, column in zip(schema, table.columns, strict=True):
        if not field.nullable and column.null_count:
            raise ValueError(f"{path.name}: column {field.name!r} has {column.null_count} missing values")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_bytes(path, sink.getvalue().to_pybytes())


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON with sorted keys: the same value gives the same bytes. NaN raises ValueError."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8; the file appears complete or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`; the file appears complete or not at all."""
    with replacing(path) as file:
        file.write(content)


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote. Raises CorruptFile when it is missing, cut short or not JSON."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CorruptFile(path, _reason(error)) from error
    if not raw.endswith(b"\n"):  # the last byte written; what is cut just before it may still parse
        raise CorruptFile(path, "half written: its end is missing")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(path, f"not valid JSON: {error}") from error


def read_table(path: Path, schema: pa.Schema, *, version: int = SCHEMA_VERSION) -> pd.DataFrame:
    """Read a Parquet file of a run, checksums verified. Raises CorruptFile for anything but `schema`.

    Columns that came after `version` are filled with nulls.
    """
    younger = {name for since, names in ADDED.items() if since > version for name in names}
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
        names = table.column_names
        missing = [field.name for field in schema if field.name not in names and field.name not in younger]
        if missing:
            raise CorruptFile(path, f"columns missing: {', '.join(missing)}")
        own = [field for field in schema if field.name not in younger]
        wrong = [field.name for field in own if not table.schema.field(field.name).equals(field)]
        if wrong:
            raise CorruptFile(path, f"columns of another type: {', '.join(wrong)}")
        for field in schema:
            if field.name in younger:
                table = table.append_column(field, pa.nulls(len(table), field.type))
        return _frame(table.select(schema.names), schema)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: also names and texts that are no UTF-8
        raise CorruptFile(path, _reason(error)) from error


def read_trial(folder: Path) -> TrialData:
    """Read one trial. Raises CorruptFile naming the first file that is missing, half written or of an unread
    version.

    A failed trial may lack its Parquet files; then the frames are empty, with all columns.
    """
    info = read_info(folder)
    failed = info["status"] == "failed"
    frames = []
    for name, schema in ((UTTERANCES_FILE, UTTERANCES), (MACHINE_FILE, MACHINE)):
        path = folder / name
        if failed and not path.exists():
            frames.append(_frame(schema.empty_table(), schema))
        else:
            frames.append(read_table(path, schema, version=info["schema_version"]))
    return TrialData(folder=folder, info=info, utterances=frames[0], machine=frames[1])


def read_info(folder: Path) -> dict[str, Any]:
    """A trial's trial.json. Raises CorruptFile when it is missing, half written or of an unread version."""
    path = folder / TRIAL
    info = read_json(path)
    if not isinstance(info, dict):
        raise CorruptFile(path, "not a JSON object")
    version = info.get("schema_version")
    if version not in READABLE:
        known = ", ".join(map(str, READABLE))
        raise CorruptFile(path, f"schema version {version!r} has no reader (this yapbench reads {known})")
    if not isinstance(info.get("trial_id"), str) or info.get("status") not in ("done", "failed"):
        raise CorruptFile(path, "needs 'trial_id' and a 'status' of \"done\" or \"failed\"")
    return info


def finished(folder: Path) -> bool:
    """Whether the trial ended, well or as a recorded failure. Raises CorruptFile as `read_info` does."""
    if not (folder / TRIAL).exists():
        return False
    read_info(folder)
    return True


def read_sweep(folder: Path) -> list[TrialData]:
    """All finished and failed trials of a sweep, by trial_id. Raises CorruptFile for the first bad file."""
    trials = [read_trial(path) for path in _trial_folders(folder) if finished(path)]
    return sorted(trials, key=lambda trial: str(trial.info["trial_id"]))


def unfinished(folder: Path) -> list[Path]:
    """Folders of trials that were begun and never ended, sorted."""
    return [path for path in _trial_folders(folder) if not (path / TRIAL).exists()]


def _trial_folders(sweep: Path) -> list[Path]:
    if not sweep.is_dir():
        raise CorruptFile(sweep, "no such folder")
    children = sorted(path for path in sweep.iterdir() if path.is_dir())
    return [path for path in children if any((path / mark).exists() for mark in _MARKS)]


def _frame(table: pa.Table, schema: pa.Schema) -> pd.DataFrame:
    exact = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=exact.get)
    whole = [field for field in schema if pa.types.is_integer(field.type) and not field.nullable]
    plain = {field.name: field.type.to_pandas_dtype() for field in whole}
    return frame.astype(plain)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    return f"cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into that takes the place of `path` at the end: a reader, or a power cut, sees the old or new.

    Should the writing fail, the old one stays and nothing is left behind.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)  # mkstemp makes it private
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the rename itself must survive too
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
