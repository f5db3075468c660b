"""Columns and files of exported tables: types, units, and what a spreadsheet must not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from yapbench.export.columns import NUMBER, TEXT, Column, of_settings, unit_of
from yapbench.export.tables import Table

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built


def test_a_text_that_a_spreadsheet_would_run_is_disarmed_in_csv_alone(tmp_path: Path) -> None:
    rows = [{"said": text, "x": -1.5} for text in ("=1+1", "-3", "two,\r\nlines", "plain")]
    made = Table.of("t", [Column("said", TEXT, "what"), Column("x", NUMBER, "a number")], rows)
    made.write(tmp_path)
    assert list(pd.read_csv(tmp_path / "t.csv")["said"]) == ["'=1+1", "'-3", "two,\r\nlines", "plain"]
    assert list(pd.read_csv(tmp_path / "t.csv")["x"]) == [-1.5] * 4
    assert pq.read_table(tmp_path / "t.parquet")["said"].to_pylist() == ["=1+1", "-3", "two,\r\nlines", "plain"]


def test_settings_keep_their_types_where_they_are_alike_and_their_names_where_they_are_free() -> None:
    settings: list[dict[str, Any]] = [
        {"n": 1, "on": True, "share": 0.5, "mixed": "clean", "list": [1, 2], "none": None},
        {"n": 2, "on": False, "share": 1, "mixed": 10, "list": [1], "none": None},
    ]
    found = of_settings(settings, taken=["n"], helps={})
    assert {name: column.name for name, column in found.items() if name != column.name} == {"n": "setting_n"}
    kinds = {name: column.kind for name, column in found.items()}
    assert (kinds["n"], kinds["on"], kinds["share"]) == ("whole number", "true or false", "number")
    assert kinds["mixed"] == kinds["list"] == kinds["none"] == "text"


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("eos_p95_ms_low", "ms"),
        ("goodput_share", "share from 0 to 1"),
        ("lag_slope_ms_per_s", "ms per s"),
        ("cpu_s_per_audio_s", "s per s of audio"),
        ("audio_s_per_s", "s of audio per s"),
        ("partial_bytes_rate", "bytes per s of speech"),
        ("rss_peak_mib", "MiB"),
        ("wer", "1"),
        ("eos_p50_ms_n", "1"),
    ],
)
def test_units_are_read_from_names(name: str, unit: str) -> None:
    assert unit_of(name) == unit


def test_a_column_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"t: \['x', 'x'\] is there twice"):
        Table.of("t", [Column("x", TEXT, "what"), Column("x", NUMBER, "what")], [])


def test_many_rows_go_through_in_lots(tmp_path: Path) -> None:
    Table.of("t", [Column("x", NUMBER, "a number")], ({"x": float(k), "y": k} for k in range(10_000))).write(tmp_path)
    assert list(pd.read_csv(tmp_path / "t.csv")["x"]) == list(range(10_000))
    assert pq.read_table(tmp_path / "t.parquet").column_names == ["x"]
