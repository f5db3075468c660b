"""How streams are shown: what is watched, added up second by second; numbers with the reasons of those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from yapbench import devices
from yapbench.clients.line import Sight
from yapbench.schema import MACHINE
from yapbench.store import TrialData
from yapbench.streams import times
from yapbench.streams.times import TIMES, Message, Stream
from yapbench.verbs import spoken
from yapbench.verbs.older import OLDER
from yapbench.verbs.watching import LONGEST, Watch

MS = 1_000_000


def said_of(*sights: Sight, verbose: bool = False) -> list[str]:
    """What a watch prints of them, without runs of spaces."""
    lines: list[str] = []
    watch = Watch(verbose=verbose, say=lines.append)
    for sight in sights:
        watch(sight)
    watch.finish()
    return [" ".join(line.split()) for line in lines]


def frames(*at_ms: int) -> list[Sight]:
    return [Sight(at * MS, "sent", "frame", 10) for at in at_ms]


def test_times_count_from_the_dial_and_from_t0() -> None:
    dial, t0 = Sight(100 * MS, "line", "dial", words="ws://x"), Sight(150 * MS, "line", "t0")
    partial = Sight(160 * MS, "received", "partial", 9, '{"text": "a"}', "a")
    assert said_of(dial, t0, partial) == [
        "0.0 - -- dial ws://x",
        "50.0 0.0 -- t0",
        '60.0 10.0 <- partial {"text": "a"}',
    ]


def test_frames_are_added_up_by_the_second() -> None:
    begin = [Sight(0, "line", "dial"), Sight(0, "line", "t0")]
    end = Sight(1300 * MS, "sent", "end", 5)
    lines = said_of(*begin, *frames(100, 900, 1100), end)
    assert lines[2:] == [
        "900.0 900.0 -> 2 frames, 20 bytes",
        "1100.0 1100.0 -> 1 frame, 10 bytes",
        "1300.0 1300.0 -> end, 5 bytes",
    ]
    assert sum("-> frame" in line for line in said_of(*begin, *frames(100, 900, 1100), verbose=True)) == 3


def test_a_long_message_is_cut_unless_all_is_wanted() -> None:
    long = Sight(0, "received", "final", 999, "x" * 2 * LONGEST)
    assert said_of(long)[0].endswith("x...") and len(said_of(long)[0]) < LONGEST + 50
    assert said_of(long, verbose=True)[0].count("x") == 2 * LONGEST


def stream(**changes: Any) -> Stream:
    """Two seconds at live pace in frames of 500 ms; the final comes 100 ms after the end message was due."""
    late = tuple([0] * 4)
    events = (Message(700 * MS, "partial", "a", 1), Message(2100 * MS, "final", "a b", 3))
    facts: dict[str, Any] = {
        "outcome": "ok",
        "t0_ns": 0,
        "audio_s": 2.0,
        "lateness_ns": late,
        "frame_ms": 500,
        "pace": 1,
    }
    facts |= {"sent_ns": 500 * MS, "sent_end_ns": 2000 * MS, "events": events, "reference": "a c", "language": "en"}
    return Stream(**{**facts, **changes})


FACTS = {"utterance_id": "u", "request_id": "r", "phase": "steady", "status": None, "error": None}


def test_rtf_is_that_of_the_clock_there_is() -> None:
    assert times.rtf(stream()).value == pytest.approx(2.1 / 2.0)
    assert times.xrt(stream()).value == pytest.approx(2.0 / 2.1)
    unpaced = stream(pace=0, lateness_ns=(), sent_ns=1100 * MS)
    assert times.rtf(unpaced).value == pytest.approx(1.0 / 2.0)
    assert times.xrt(unpaced).value == pytest.approx(2.0)
    assert times.xrt(stream(outcome="timeout")).reason == "outcome timeout"


def test_a_record_has_every_time_under_both_names() -> None:
    row = spoken.record(stream(), FACTS, full_text=True)
    assert (row["flush_ms"], row["post_send_to_final_ms"], row["decode_tail_ms"]) == (100, 100, 1400)
    assert (row["delta_to_audio_ms"], row["wer"], row["partials"], row["text"]) == (-400, 0.5, 1, "a b")
    assert set(row["missing"]) == {name for name, value in row.items() if value is None} - {"status", "error"}
    assert set(OLDER.values()) <= set(TIMES)


def test_a_failed_stream_has_no_time_and_says_why() -> None:
    row = spoken.record(stream(outcome="no_final"), FACTS)
    assert all(row[f"{name}_ms"] is None for name in TIMES)
    assert set(row["missing"].values()) == {"outcome no_final"} and "text" not in row


def test_the_table_of_one_utterance_names_the_older_words_and_the_reasons() -> None:
    lines = spoken.table_of(spoken.record(stream(), FACTS))
    assert [line.split()[0] for line in lines] == [*TIMES, "rtf", "xrt", "wer"]
    assert "(flush_to_final, post_send_to_final)" in next(line for line in lines if line.startswith("flush"))
    assert next(line for line in lines if line.startswith("connect")).endswith(": the connection was kept open")


def machine(*rows: tuple[int, str, str, float]) -> TrialData:
    table = pd.DataFrame([(1, *row) for row in rows], columns=MACHINE.names)
    point = {"level": 1.0, "repeat": 0, "start_ns": 10, "end_ns": 20}
    return TrialData(Path(), {"points": [point]}, pd.DataFrame(), table)


def test_gpus_count_only_while_the_level_was_measured() -> None:
    loads = [(at, "gpu0", "util_percent", util) for at, util in ((5, 100.0), (10, 20.0), (20, 40.0), (25, 100.0))]
    memory = [(at, "gpu0", "vram_used_bytes", mib * 2.0**20) for at, mib in ((10, 100), (20, 300))]
    [found] = devices.during(machine(*loads, *memory), [1.0])
    assert found.util_mean.value == 30
    assert found.util_p95.value == pytest.approx(39)
    assert (found.vram_mean_mib.value, found.vram_peak_mib.value) == (200, 300)
    [none] = devices.during(machine((10, "server", "cpu_s", 1.0)), [1.0])
    assert (none.util_mean.value, none.util_mean.reason) == (None, "no GPU was watched")
