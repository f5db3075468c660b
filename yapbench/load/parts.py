"""Tables of rows too many for memory: written in parts, joined into one file that appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from yapbench.store import replacing, write_table

ROWS: Final = 2_000
"""Of a part."""

RowT = TypeVar("RowT")


def write(path: Path, rows: Iterable[Mapping[str, object]], schema: pa.Schema) -> None:
    """The same file as `store.write_table`, never with more than ROWS of the rows in memory."""
    parts = []
    for number, chunk in enumerate(chunks(rows, ROWS)):
        parts.append(path.with_name(f"{path.name}.part{number}"))
        write_table(parts[-1], chunk, schema)
    if parts:
        join(parts, path, schema)
    else:
        write_table(path, (), schema)


def join(parts: Sequence[Path], path: Path, schema: pa.Schema) -> None:
    """Make one file of several with the same schema, in their order, then remove them."""
    if len(parts) == 1:
        parts[0].replace(path)
        return
    with (
        replacing(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for part in parts:
            with pq.ParquetFile(part, page_checksum_verification=True) as source:
                for group in range(source.num_row_groups):
                    writer.write_table(source.read_row_group(group))
    for part in parts:
        part.unlink()


def chunks(rows: Iterable[RowT], size: int) -> Iterator[list[RowT]]:
    """The rows in lists of `size`, the last one shorter."""
    left = iter(rows)
    while chunk := list(islice(left, size)):
        yield chunk
