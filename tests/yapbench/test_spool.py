"""What is put on disk comes back as it was, and does not stay in memory."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from yapbench.clients.interface import Event, Exchange
from yapbench.corpus import Utterance, Word
from yapbench.load import Point
from yapbench.load.sender import Record
from yapbench.load.spool import Spool
from yapbench.pacing.schedule import Ticket
from yapbench.schema import Outcome, Phase

UTTERANCES = [
    Utterance(id=name, duration_s=1.0, path=Path(f"/{name}.wav"), words=(Word("hello", 0.1, 0.4),)) for name in "ab"
]


def record(number: int) -> Record:
    events = tuple(Event(n, "partial", text=f"word {n}") for n in range(number))
    exchange = Exchange(outcome=Outcome.OK, ended_ns=number, events=events, lateness_ns=(1, 2))
    return Record(Point(4.0, 0), Ticket(number, Phase.STEADY), 1, UTTERANCES[number % 2], f"r{number}", 5, exchange)


def test_records_come_back_in_their_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, UTTERANCES)
    for number in range(300):
        spool.put(record(number))
    assert list(spool) == [record(number) for number in range(300)]
    assert list(spool) == [record(number) for number in range(300)]
    assert next(iter(spool)).utterance is UTTERANCES[0]
    spool.close()


def test_none_stays_in_memory_or_in_the_folder(tmp_path: Path) -> None:
    spool, kept = Spool(tmp_path, UTTERANCES), record(3)
    seen = weakref.ref(kept)
    spool.put(kept)
    del kept
    gc.collect()
    assert seen() is None
    assert list(tmp_path.iterdir()) == []
    spool.close()
