"""A server's trace beside its trial: what the server itself noted of each request, on this machine's monotonic clock.

Written by servers/common/trace.py where a trial ran with `trace: true`. Joins by request id; computes no time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from yapbench.store import TrialData

FILE: Final = "trace.jsonl"
"""In the trial's folder."""

SCHEMA: Final = 1

UNASKED: Final = "it ran without a trace"
ASK: Final = "`trace: true` in the sweep, or `--trace=true`, lets the server write down what it did when"

_SECOND_NS: Final = 1_000_000_000
_LAST_S: Final = 2**63 / _SECOND_NS


@dataclass(frozen=True)
class Spans:
    """All stamps of one request, CLOCK_MONOTONIC nanoseconds, each list in the order in which it was noted."""

    received_ns: tuple[int, ...] = ()
    queued_ns: tuple[int, ...] = ()
    steps_ns: tuple[tuple[int, int], ...] = ()
    """(start, end) of every step of the model that the request took part in."""
    sent_ns: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trace:
    """What one server process noted; `problem` says why nothing of it can be joined with the trial's own stamps."""

    requests: Mapping[str, Spans] = field(default_factory=dict)
    dropped: int = 0
    """Rows that the server had no room for."""
    damaged: int = 0
    """Lines that cannot be read: a server that was killed leaves its last one half written."""
    closed: bool = False
    """The server ended its file; otherwise rows may be missing at its end."""
    problem: str = ""

    @property
    def gaps(self) -> str:
        """What is known to be missing, in words; empty for a whole trace."""
        parts = [
            *([f"{self.dropped} rows that found no room"] if self.dropped else []),
            *([f"{self.damaged} line{'' if self.damaged == 1 else 's'} that cannot be read"] if self.damaged else []),
            *([] if self.closed else ["its end: the server did not close it"]),
        ]
        return "" if self.problem else " and ".join(parts)


def read(trial: TrialData) -> Trace:
    """The trace of a trial; a missing or foreign one has its `problem` and no requests."""
    path = trial.folder / FILE
    if not (trial.info.get("asked") or {}).get("trace"):
        return Trace(problem=UNASKED)
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return Trace(problem="its trace is not beside its rows")
    except OSError as error:
        return Trace(problem=f"its trace cannot be read: {error.strerror}")
    boot_id = str((trial.info.get("clock") or {}).get("boot_id") or "")
    return parse(lines, boot_id=boot_id)


def parse(lines: list[bytes], *, boot_id: str) -> Trace:
    """A trace from its lines; `boot_id`: that of the machine whose clock the trial's own stamps are of."""
    rows, damaged = _rows(lines)
    problem = _foreign(rows, boot_id)
    if problem:
        return Trace(damaged=damaged, problem=problem)
    closing = [row for row in rows if row.get("event") == "closed"]
    requests: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        at_s, name = row.get("at_s"), row.get("request_id")
        if _is_stamp(at_s) and isinstance(name, str):
            requests.setdefault(name, []).append((str(row.get("event")), round(at_s * _SECOND_NS)))
    return Trace(
        requests={name: _spans(noted) for name, noted in requests.items()},
        dropped=sum(count for row in closing if isinstance(count := row.get("dropped"), int)),
        damaged=damaged,
        closed=bool(closing),
    )


def _rows(lines: list[bytes]) -> tuple[list[dict[str, Any]], int]:
    rows, damaged = [], 0
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            damaged += 1
    return rows, damaged


def _is_stamp(value: object) -> TypeGuard[float]:
    """A number of seconds that a clock can show: no infinity, nor what another program may have put there."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LAST_S


def _foreign(rows: list[dict[str, Any]], boot_id: str) -> str:
    """Why the stamps are not of the clock that the trial's own are of; empty if they are."""
    openings = [row for row in rows if row.get("event") == "opened"]
    if not openings:
        return "its trace has no readable first line"
    if len(openings) > 1:
        return "its trace is of more than one server process"
    head = openings[0]
    if head.get("schema") != SCHEMA:
        return f"its trace has schema {head.get('schema')!r}, which has no reader"
    if head.get("clock") != "CLOCK_MONOTONIC":
        return f"its trace counts on another clock, {head.get('clock')!r}"
    if not boot_id or not head.get("boot_id"):
        return "it is not known whether its trace was written on the same machine since the same start"
    if head["boot_id"] != boot_id:
        return "its trace was written on another machine, or after another start: the clocks cannot be compared"
    return ""


def _spans(noted: list[tuple[str, int]]) -> Spans:
    """Starts and ends are noted in pairs; one without the other is no step."""
    steps: list[tuple[int, int]] = []
    began: int | None = None
    for event, at_ns in noted:
        if event == "step_start":
            began = at_ns
        elif event == "step_end" and began is not None:
            steps.append((began, at_ns))
            began = None
    of = {event: tuple(at for name, at in noted if name == event) for event in ("received", "queued", "sent")}
    return Spans(of["received"], of["queued"], tuple(steps), of["sent"])
