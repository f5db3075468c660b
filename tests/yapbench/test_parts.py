"""Rows in parts are the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yapbench import store
from yapbench.load import parts
from yapbench.schema import MACHINE


def rows(count: int, source: str = "worker0") -> list[dict[str, Any]]:
    base = {"schema_version": 2, "source": source, "metric": "cpu_s"}
    return [{**base, "at_ns": n, "value": float(n)} for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_a_table_written_in_parts_is_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(parts, "ROWS", 3)
    parts.write(tmp_path / "machine.parquet", iter(rows(count)), MACHINE)
    assert store.read_table(tmp_path / "machine.parquet", MACHINE)["at_ns"].tolist() == list(range(count))
    assert [path.name for path in tmp_path.iterdir()] == ["machine.parquet"]


def test_tables_of_several_are_joined_in_their_order(tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 0), ("c", 3)):
        store.write_table(tmp_path / name, rows(count, source=name), MACHINE)
    parts.join([tmp_path / name for name in "abc"], tmp_path / "all", MACHINE)
    assert store.read_table(tmp_path / "all", MACHINE)["source"].tolist() == ["a", "a", "c", "c", "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["all"]
    assert (tmp_path / "all").stat().st_mode & 0o777 == 0o644


def test_a_part_that_cannot_be_read_leaves_no_half_file(tmp_path: Path) -> None:
    store.write_table(tmp_path / "a", rows(2), MACHINE)
    (tmp_path / "b").write_bytes(b"no table")
    with pytest.raises(pa.ArrowInvalid, match="Parquet"):
        parts.join([tmp_path / "a", tmp_path / "b"], tmp_path / "all", MACHINE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_column_that_is_not_in_the_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="colour"):
        parts.write(tmp_path / "x", [{**rows(1)[0], "colour": "red"}], MACHINE)


def test_the_memory_does_not_hold_more_than_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 5)
    parts.write(tmp_path / "x", rows(12), MACHINE)
    assert [pq.ParquetFile(tmp_path / "x").metadata.row_group(n).num_rows for n in range(3)] == [5, 5, 2]
