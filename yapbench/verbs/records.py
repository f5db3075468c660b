"""What a quick look at a server leaves: one record a request, lines of its errors, and a table for the screen."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from yapbench import store, turns
from yapbench.measures import Point
from yapbench.schema import Outcome
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.words import ms, rate

Record = Mapping[str, Any]


def of(trial: TrialData) -> list[Record]:
    """One JSON-able record for each request that was sent, warm-up included, in order of their times."""
    found: list[Record] = []
    for row in trial.utterances.sort_values("intended_ns").to_dict("records"):
        ok = row["outcome"] == Outcome.OK  # what else came need not have these fields
        answer = (turns.answer(row["events"]) if ok else None) or {}
        metrics = answer.get("metrics") or {}
        found.append(
            {
                "level": row["level"],
                "phase": row["phase"],
                "utterance_id": row["utterance_id"],
                "request_id": row["request_id"],
                "audio_s": row["audio_s"],
                "label": _text(row["label"]),
                "outcome": row["outcome"],
                "status": _whole(row["status"]),
                "error": _text(row["error"]),
                "prediction": answer.get("prediction"),
                "probability": answer.get("probability"),
                "connect_ms": _between_ms(row, "connect_start_ns", "connected_ns"),
                "send_ms": _between_ms(row, "sent_ns", "sent_end_ns"),
                "latency_ms": _between_ms(row, "intended_ns", "ended_ns"),
                "queue_ms": _thousandfold(metrics.get("queue_time")),
                "inference_ms": _thousandfold(metrics.get("inference_time")),
                "batch_size": _finite(metrics.get("batch_size")),
            }
        )
    return found


def write(verb: str, folder: Path, rows: Sequence[Record]) -> str:
    """<verb>_metrics.jsonl and <verb>_errors.txt (empty when nothing failed); returns their paths in words."""
    metrics, errors = folder / f"{verb}_metrics.jsonl", folder / f"{verb}_errors.txt"
    store.write_text(metrics, "".join(f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows))
    failed = [row for row in rows if row["outcome"] != Outcome.OK]
    store.write_text(errors, "".join(f"{_failure(row)}\n" for row in failed))
    return f"{metrics} and {errors.name} ({len(failed)} line{'' if len(failed) == 1 else 's'})"


def show(points: Sequence[Point], rows: Sequence[Record], console: Console) -> None:
    """One line for each load level, then the failures by type with an example of each."""
    table = Table(box=SIMPLE_HEAD)
    heads = ("users", "requests", "failed", "p50 ms", "p95 ms", "answers/s", "model ms", "queue ms", "batch", "CPU %")
    for head in heads:
        table.add_column(head, justify="right")
    table.add_column("")
    for point in points:
        values = [
            said(point[name], words)
            for name, words in {
                "latency_p50_ms": ms,
                "latency_p95_ms": ms,
                "rps": rate,
                "inference_ms": ms,
                "queue_ms": ms,
                "batch_size": rate,
                "cpu_percent": "{:.0f}".format,
            }.items()
        ]
        failed = sum(point.failures.values())
        doubt = "" if not point.validity.reasons else f"{point.validity.verdict}: {'; '.join(point.validity.reasons)}"
        table.add_row(f"{point.level:g}", str(point.n), str(failed), *values, escape(doubt))
    console.print(table)
    show_doubt(points, ["latency_p95_ms"], console)
    show_failures(rows, console)


def show_failures(rows: Sequence[Record], console: Console) -> None:
    """By type, with an example of each."""
    counts = Counter(row["outcome"] for row in rows if row["outcome"] != Outcome.OK)
    for outcome, count in counts.most_common():
        example = next(row for row in rows if row["outcome"] == outcome)
        console.print(f"{count} x {outcome}: {example['error']}", soft_wrap=True, markup=False, highlight=False)
    if not counts:
        console.print("no failures")


def show_each(rows: Sequence[Record], console: Console) -> None:
    """A line for each request."""
    for row in rows:
        times = {name: row[f"{name}_ms"] for name in ("connect", "send", "latency", "queue", "inference")}
        words = ", ".join(f"{name} {value:.1f} ms" for name, value in times.items() if value is not None)
        line = f"{row['phase']:<7} {row['utterance_id']}: {row['outcome']}, {words}"
        if row["probability"] is not None:
            line += f", probability {row['probability']:.3f}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _failure(row: Record) -> str:
    status = f" {row['status']}" if row["status"] is not None else ""
    return f"{row['outcome']}{status} {row['request_id']} {row['utterance_id']} ({row['phase']}): {row['error']}"


INDICATIVE: Final = "*"
"""Behind a tail from too few answers."""


def show_doubt(points: Sequence[Point], names: Iterable[str], console: Console) -> None:
    """What the mark means, where it was used."""
    if any(point[name].indicative for point in points for name in names):
        console.print(f"{INDICATIVE} a tail from too few: indicative only", highlight=False)


def said(value: Estimate, words: Any) -> str:
    """A number for a table of the terminal."""
    if value.value is None:
        return "-"
    return f"{words(value.value)}{INDICATIVE if value.indicative else ''}"


def _between_ms(row: Mapping[Any, Any], start: str, end: str) -> float | None:
    first, last = _whole(row[start]), _whole(row[end])
    return None if first is None or last is None else round((last - first) / 1e6, 3)


def _thousandfold(seconds: Any) -> float | None:
    found = _finite(seconds)
    return None if found is None else round(1e3 * found, 3)


def _finite(value: Any) -> float | None:
    """A number as a server gave it; None for what is none."""
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    """An integer of a frame's row, whose missing values are pandas' own."""
    return int(value) if isinstance(value, int | float) and value == value else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
