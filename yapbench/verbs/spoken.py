"""What a look at a streaming server leaves: one record an utterance, a table for the screen. Every number is that of
streams.measures and streams.times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from yapbench.clients.interface import Exchange
from yapbench.corpus import Utterance
from yapbench.devices import DEVICES, Devices
from yapbench.measures import Point
from yapbench.pacing.streaming import StreamOptions
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.streams import measures, times
from yapbench.streams.measures import Measured
from yapbench.streams.times import TIMES, Message, Stream
from yapbench.verbs import records
from yapbench.verbs.older import OLDER
from yapbench.words import ms, rate

DASH: Final = "-"
_LONGEST: Final = 100
"""Characters of a transcript that are shown unless all of it is wanted."""

SHOWN: Final = {
    "connect p50 ms": ("connect_p50_ms", ms),
    "handshake p50 ms": ("handshake_p50_ms", ms),
    "first response p50 ms": ("first_response_p50_ms", ms),
    "first word p50 ms": ("first_word_p50_ms", ms),
    "TTFP p50 ms": ("ttfp_p50_ms", ms),
    "TTFP p95 ms": ("ttfp_p95_ms", ms),
    "EOS p50 ms": ("eos_p50_ms", ms),
    "EOS p95 ms": ("eos_p95_ms", ms),
    "EOS mean ms": ("eos_mean_ms", ms),
    "flush p50 ms": ("flush_p50_ms", ms),
    "flush p95 ms": ("flush_p95_ms", ms),
    "partials": ("partials", rate),
    "partial gap p50 ms": ("partial_gap_p50_ms", ms),
    "RTF p95": ("stream_rtf_p95", "{:.3f}".format),
    "RTFx": ("rtfx", rate),
    "audio s/s": ("audio_s_per_s", rate),
    "WER": ("wer", "{:.1%}".format),
    "CPU %": ("cpu_percent", "{:.0f}".format),
    "memory peak MiB": ("rss_peak_mib", "{:.0f}".format),
}
"""Lines of the table: a measure of streams.measures, and how it is written."""


def stream_of(utterance: Utterance, exchange: Exchange, options: StreamOptions, *, intended_ns: int) -> Stream:
    """One utterance that was not part of a load, as the measures read it."""
    events = [
        Message(event.at_ns, event.kind, event.text, len((event.data or event.text or "").encode()))
        for event in exchange.events
    ]
    return Stream(
        outcome=exchange.outcome,
        t0_ns=intended_ns if exchange.t0_ns is None else exchange.t0_ns,
        audio_s=utterance.duration_s,
        lateness_ns=exchange.lateness_ns,
        frame_ms=None if options.eos == "file" else options.frame_ms,
        pace=options.pace,
        connect_start_ns=exchange.connect_start_ns,
        connected_ns=exchange.connected_ns,
        sent_ns=exchange.sent_ns,
        sent_end_ns=exchange.sent_end_ns,
        events=tuple(events),
        words=utterance.words,
        speech_end_s=utterance.speech_end_s,
        reference=utterance.text,
        language=utterance.language,
    )


def of(trial: TrialData, *, full_text: bool) -> list[dict[str, Any]]:
    """One JSON-able record for each utterance of a load, warm-up included, in order of their times."""
    found = []
    for row in trial.utterances.sort_values("intended_ns").to_dict("records"):
        facts = {name: row[name] for name in ("level", "phase", "stream", "utterance_id", "request_id")}
        facts |= {name: None if _absent(row[name]) else row[name] for name in ("status", "error")}
        found.append(record(Stream.of(row), facts, full_text=full_text))
    return found


def record(stream: Stream, facts: Mapping[str, Any], *, full_text: bool = False) -> dict[str, Any]:
    """Facts, outcome, every time under our name and the older ones, WER; `missing` says why a number is null."""
    measured = measures.measure(stream)
    numbers = {f"{name}_ms": value for name, value in measured.times.items()}
    numbers |= {name: measured.times[ours] for name, ours in OLDER.items()}
    numbers |= {"rtf": times.rtf(stream), "xrt": times.xrt(stream), "wer": wer_of(measured)}
    found: dict[str, Any] = {**facts, "status": None if facts["status"] is None else int(facts["status"])}
    found |= {"outcome": str(stream.outcome), "audio_s": stream.audio_s, "sent_s": round(stream.sent_s, 3)}
    found |= {name: None if value.value is None else round(value.value, 4) for name, value in numbers.items()}
    found["partials"] = len(stream.partials)
    found["late_max_ms"] = round(max(stream.lateness_ns) / 1e6, 3) if stream.lateness_ns else None
    found["norm"] = measured.score.norm if measured.score else None
    found["missing"] = {name: value.reason for name, value in numbers.items() if value.value is None}
    if full_text:
        found |= {"text": text_of(stream), "reference": stream.reference}
    return found


def wer_of(measured: Measured) -> Estimate:
    """Of one utterance."""
    if not measured.stream.ok:
        return Estimate.missing(f"outcome {measured.stream.outcome}")
    errors = measured.score.words.errors if measured.score else None
    if errors is None or errors.rate is None:
        return Estimate.missing("no reference with words")
    return Estimate(errors.rate, n=errors.reference)


def text_of(stream: Stream) -> str:
    """The last transcript shown."""
    return (stream.shown[-1].text or "") if stream.shown else ""


def printable(text: str) -> str:
    """The same without what would move a terminal's cursor: it is a stranger's."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def shortened(text: str, *, full: bool) -> str:
    """The text in quotes, cut unless all of it is wanted."""
    return repr(text if full or len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def times_in_words(row: Mapping[str, Any]) -> str:
    """How it ended, its main times, and its WER where it has a reference."""
    names = ("connect", "handshake", "ttfp", "first_word", "eos", "flush")
    said = [f"{name} {row[f'{name}_ms']:.1f} ms" for name in names if row[f"{name}_ms"] is not None]
    said += [] if row["wer"] is None else [f"WER {row['wer']:.1%}"]
    return ", ".join([row["outcome"], *said]) + (f": {printable(row['error'])}" if row["error"] else "")


def in_words(row: Mapping[str, Any]) -> str:
    """One utterance on one line."""
    line = f"{row['phase']:<7} {row['utterance_id']}: {times_in_words(row)}"
    return line + (f"\n    {row['text']}" if "text" in row else "")


def table_of(record: Mapping[str, Any]) -> list[str]:
    """One utterance as lines: our names with what they mean, the older ones in brackets, a dash with its reason."""
    older: dict[str, list[str]] = {}
    for name, ours in OLDER.items():
        older.setdefault(ours, []).append(name.removesuffix("_ms"))
    heads = {
        **TIMES,
        "rtf": "time to the last final per time that the audio took",
        "xrt": "the same the other way round",
        "wer": f"word error rate, normalised by {record['norm']}" if record["norm"] else "word error rate",
    }
    lines = []
    for name, what in heads.items():
        key = f"{name}_ms" if name in TIMES else name
        value = record[key]
        written = DASH if value is None else f"{value:.1f} ms" if name in TIMES else f"{value:.3f}"
        also = [one for one in older.get(name, []) if one != name]
        words = [f"{what} ({', '.join(also)})" if also else what]
        words += [record["missing"][key]] if value is None else []
        lines.append(f"{name:<16} {written:>12}  {': '.join(words)}")
    return lines


def show(
    points: Sequence[Point], devices: Sequence[Devices], rows: Sequence[Mapping[str, Any]], console: Console
) -> None:
    """A column for each load level, a line for each number; then why numbers are missing, and the failures by type."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("streams at a time")
    for point in points:
        table.add_column(f"{point.level:g}", justify="right")
    table.add_row("utterances", *(str(point.n) for point in points))
    table.add_row("failed", *(str(sum(point.failures.values())) for point in points))
    why: dict[str, list[str]] = {}
    for head, (name, words) in SHOWN.items():
        table.add_row(head, *(records.said(point[name], words) for point in points))
        for reason in {point[name].reason for point in points if point[name].value is None}:
            why.setdefault(reason, []).append(head)
    for head, (place, written) in DEVICES.items():
        found = [getattr(device, place) for device in devices]
        table.add_row(head, *(records.said(value, written) for value in found))
        for reason in {value.reason for value in found if value.value is None}:
            why.setdefault(reason, []).append(head)
    table.add_row("", *("" if point.valid else str(point.validity.verdict) for point in points))
    console.print(table)
    records.show_doubt(points, [name for name, _ in SHOWN.values()], console)
    for reason, heads in why.items():
        console.print(f"{DASH} {', '.join(heads)}: {reason}", soft_wrap=True, markup=False, highlight=False)
    for point in points:
        if point.validity.reasons:
            doubt = f"{point.level:g} streams, {point.validity.verdict}: {'; '.join(point.validity.reasons)}"
            console.print(doubt, soft_wrap=True, markup=False, highlight=False)
    norms = sorted({row["norm"] for row in rows if row["norm"]})
    if norms:
        console.print(f"WER normalised by {', '.join(norms)}", soft_wrap=True, markup=False, highlight=False)
    records.show_failures(rows, console)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value) == "<NA>"
