"""A stream that was never sent, as the row it would have left: stamps in ms from t0, so that a test can do the sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from yapbench.schema import SCHEMA_VERSION

MS: Final = 1_000_000
T0_NS: Final = 7_000_000_000_000
FRAME_MS: Final = 100.0
WORDS: Final = (("hello", 0.2, 0.45), ("brave", 0.45, 0.65), ("world", 0.65, 0.85))
SCRIPT: Final = (
    (-10, "ready", None),
    (300, "partial", ""),
    (650, "partial", "hello"),
    (850, "partial", "hello brain"),
    (1000, "partial", "hello brave word"),
    (1100, "final", "hello brave world"),
)
"""(ms after t0, kind, transcript so far)."""


def row(
    script: Sequence[tuple[float, str, str | None]] = SCRIPT,
    *,
    t0_ns: int = T0_NS,
    words: Sequence[tuple[str, float, float]] | None = WORDS,
    late_ms: float = 1,
    frames: int = 9,
    **changes: Any,
) -> dict[str, Any]:
    """One second of audio with speech from 0.2 s to 0.85 s: nine frames, each 1 ms late, and the end message."""

    def at(ms: float) -> int:
        return t0_ns + round(ms * MS)

    events = [{"at_ns": at(ms), "kind": kind, "text": text, "data": None} for ms, kind, text in script]
    return {
        "schema_version": SCHEMA_VERSION,
        "level": 1.0,
        "repeat": 0,
        "phase": "steady",
        "index": 0,
        "worker": 0,
        "stream": 0,
        "utterance_id": "hello",
        "request_id": "1-0-0",
        "audio_s": 1.0,
        "label": None,
        "reference": "Hello, brave world!",
        "language": "en",
        "speech_end_s": 0.85,
        "intended_ns": t0_ns,
        "connect_start_ns": at(-50),
        "connected_ns": at(-30),
        "sent_ns": at(FRAME_MS + late_ms),
        "sent_end_ns": at(frames * FRAME_MS + late_ms),
        "ended_ns": max([at(ms) for ms, _, _ in script], default=at(2000)),
        "lateness_ns": [round(late_ms * MS)] * frames,
        "events": events,
        "outcome": "ok",
        "status": None,
        "error": None,
        "words": None if words is None else [{"word": w, "start_s": a, "end_s": b} for w, a, b in words],
        "frame_ms": FRAME_MS,
        "pace": 1.0,
    } | changes


def shifted(stored: Mapping[str, Any], by_ns: int) -> dict[str, Any]:
    """The same row with every stamp so much later."""
    moved = {k: v + by_ns if k.endswith("_ns") and isinstance(v, int) else v for k, v in stored.items()}
    return moved | {"events": [event | {"at_ns": event["at_ns"] + by_ns} for event in stored["events"]]}
