"""What a load has done, kept until it is over: in memory, or on disk where a load runs for hours.

Knows records and files; never touches a disk in the middle of an ordinary load.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from yapbench.corpus import Utterance
from yapbench.load.sender import Record

_BUFFER_BYTES: Final = 1 << 18


class Spool:
    """Records in a nameless file of `folder`, which is gone when this process is.

    Putting one costs some microseconds for each of its events: they are spread over the load, where a table written
    now and then would hold everything up for as long as that takes.
    """

    def __init__(self, folder: Path, utterances: Iterable[Utterance]) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=_BUFFER_BYTES)  # noqa: SIM115
        self._utterances = {one.id: one for one in utterances}
        self._bare = {one.id: Utterance(id=one.id, duration_s=one.duration_s) for one in self._utterances.values()}

    def put(self, record: Record) -> None:
        """Keep one; of its utterance only the name."""
        pickle.dump(replace(record, utterance=self._bare[record.utterance.id]), self._file, pickle.HIGHEST_PROTOCOL)

    def __iter__(self) -> Iterator[Record]:
        """All that were put, in their order, one at a time. Nothing can be put after."""
        self._file.seek(0)
        while True:
            try:
                record: Record = pickle.load(self._file)  # our own file, and nobody else's
            except EOFError:
                return
            yield replace(record, utterance=self._utterances[record.utterance.id])

    def close(self) -> None:
        """Throw it all away."""
        self._file.close()
