"""A table as two files, CSV and Parquet: each is whole or not there, and the same rows give the same bytes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from yapbench import store
from yapbench.export.columns import TEXT, Column

Row = Mapping[str, Any]

_LOT: Final = 4096
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula. Texts come from servers that are tested, not trusted."""


@dataclass(frozen=True)
class Table:
    """Rows under columns."""

    name: str
    columns: Sequence[Column]
    data: pa.Table
    """In the order of `columns`; units and meanings lie in the metadata of its fields."""

    @classmethod
    def of(cls, name: str, columns: Sequence[Column], rows: Iterable[Row]) -> Table:
        """Of `rows`, what there is a column for; they are taken in small lots, for there may be millions.

        Raises ValueError for a column that comes twice.
        """
        names = [column.name for column in columns]
        if len(names) > len(set(names)):
            raise ValueError(f"{name}: {sorted(n for n in names if names.count(n) > 1)} is there twice")
        schema = pa.schema(pa.field(c.name, c.type, metadata={"unit": c.unit, "meaning": c.meaning}) for c in columns)
        waiting = iter(rows)
        lots = []
        while lot := [{key: _known(row.get(key)) for key in names} for row in islice(waiting, _LOT)]:
            lots.append(pa.RecordBatch.from_pylist(lot, schema=schema))
        return cls(name, columns, pa.Table.from_batches(lots, schema=schema))

    def write(self, folder: Path) -> list[Path]:
        """Write <name>.csv and <name>.parquet into `folder`."""
        found = [folder / f"{self.name}.csv", folder / f"{self.name}.parquet"]
        with store.replacing(found[0]) as file:
            self._csv(file)
        with store.replacing(found[1]) as file:
            pq.write_table(self.data, file, compression="zstd", write_page_checksum=True)
        return found

    def _csv(self, file: IO[bytes]) -> None:
        """UTF-8, commas, points in numbers, a head line, no index; what is not known is an empty field.

        A text that a spreadsheet would run as a formula gets an apostrophe in front.
        """
        stream = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        writer = csv.writer(stream, lineterminator="\r\n")  # RFC 4180; a text with either letter is quoted then
        writer.writerow([column.name for column in self.columns])
        for lot in self.data.to_batches(max_chunksize=_LOT):
            kept = (lot.column(place).to_pylist() for place in range(len(self.columns)))
            lines = zip(*kept, strict=True)
            writer.writerows(
                [_written(value, column) for value, column in zip(line, self.columns, strict=True)] for line in lines
            )
        stream.detach()  # the file is its owner's to close


def dictionary(tables: Sequence[Table]) -> Table:
    """A table that says what each column of `tables` is."""
    columns = [
        Column("table", TEXT, "name of the file, without its ending"),
        Column("column", TEXT, "name of the column"),
        Column("type", TEXT, "text, number, whole number, true or false"),
        Column("unit", TEXT, 'unit of a number; "1" for a pure number'),
        Column("meaning", TEXT, "what it is"),
    ]
    rows = [
        {"table": table.name, "column": c.name, "type": c.kind, "unit": c.unit, "meaning": c.meaning}
        for table in tables
        for c in table.columns
    ]
    return Table.of("columns", columns, rows)


def _known(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _written(value: object, column: Column) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if column.type == TEXT and text.startswith(_FORMULA) else text
