"""Reading a server's trace: whole, cut short, of another machine, or not there at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up_traces
from yapbench import traces
from yapbench.store import TrialData

STAMPS = [("received", 10), ("queued", 11), ("step_start", 20), ("step_end", 30), ("sent", 35)]


def lines(*rows: dict[str, Any], head: dict[str, Any] | None = None) -> list[bytes]:
    opening = dict(made_up_traces.HEAD) if head is None else head
    return [json.dumps(row).encode() for row in (opening, *rows)]


def rows_of(name: str = "r") -> list[dict[str, Any]]:
    return made_up_traces.noted(name, [(event, at * 1_000_000) for event, at in STAMPS])


def test_stamps_are_grouped_by_request_in_nanoseconds() -> None:
    found = traces.parse(lines(*rows_of("one"), *rows_of("two")), boot_id=made_up_traces.BOOT)
    assert set(found.requests) == {"one", "two"}
    spans = found.requests["one"]
    assert (spans.received_ns, spans.queued_ns, spans.sent_ns) == ((10_000_000,), (11_000_000,), (35_000_000,))
    assert spans.steps_ns == ((20_000_000, 30_000_000),)


def test_steps_of_two_streams_may_be_noted_in_between() -> None:
    mixed = [row for pair in zip(rows_of("one"), rows_of("two"), strict=True) for row in pair]
    found = traces.parse(lines(*mixed), boot_id=made_up_traces.BOOT)
    assert found.requests["one"] == found.requests["two"]


def test_a_last_line_that_was_cut_is_counted_and_the_rest_is_read() -> None:
    found = traces.parse([*lines(*rows_of()), b'{"at_s": 4711.0, "ev'], boot_id=made_up_traces.BOOT)
    assert (found.damaged, found.closed, len(found.requests)) == (1, False, 1)
    assert found.gaps == "1 line that cannot be read and its end: the server did not close it"


def test_dropped_rows_are_known_and_a_whole_trace_has_no_gaps() -> None:
    closing = {"event": "closed", "written": 5, "dropped": 0}
    whole = traces.parse(lines(*rows_of(), closing), boot_id=made_up_traces.BOOT)
    assert whole.gaps == ""
    lossy = traces.parse(lines(*rows_of(), closing | {"dropped": 3}), boot_id=made_up_traces.BOOT)
    assert "3 rows that found no room" in lossy.gaps


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"boot_id": "another"}, "another machine, or after another start"),
        ({"boot_id": ""}, "not known whether"),
        ({"schema": 2}, "schema 2"),
        ({"clock": "CLOCK_REALTIME"}, "another clock"),
        ({"event": "received"}, "no readable first line"),
    ],
)
def test_stamps_of_another_clock_are_not_joined(change: dict[str, Any], said: str) -> None:
    found = traces.parse(lines(*rows_of(), head=made_up_traces.HEAD | change), boot_id=made_up_traces.BOOT)
    assert said in found.problem
    assert not found.requests


def test_a_start_without_an_end_is_no_step() -> None:
    cut = [row for row in rows_of() if row["event"] != "step_end"]
    assert traces.parse(lines(*cut), boot_id=made_up_traces.BOOT).requests["r"].steps_ns == ()


def trial(folder: Path, **asked: Any) -> TrialData:
    info = {"asked": asked, "clock": {"boot_id": made_up_traces.BOOT}}
    return TrialData(folder, info, None, None)  # type: ignore[arg-type]


def test_why_a_trial_has_no_trace(tmp_path: Path) -> None:
    assert traces.read(trial(tmp_path)).problem == traces.UNASKED
    assert traces.read(trial(tmp_path, trace=True)).problem == "its trace is not beside its rows"
    made_up_traces.write(tmp_path, rows_of())
    found = traces.read(trial(tmp_path, trace=True))
    assert (found.problem, found.gaps, len(found.requests)) == ("", "", 1)
