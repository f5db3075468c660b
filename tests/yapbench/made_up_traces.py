"""The trace that a server would have left beside a made-up trial of streams, with known times. For tests only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from yapbench import store, traces

BOOT: Final = "b"
"""That of made-up trials."""

HEAD: Final = {"event": "opened", "schema": 1, "server": "made up", "clock": "CLOCK_MONOTONIC", "boot_id": BOOT}


def noted(request_id: str, stamps_ns: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Rows of one request, times in seconds as a server writes them."""
    return [{"at_s": at_ns / 1e9, "event": event, "request_id": request_id} for event, at_ns in stamps_ns]


def write(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    head: Mapping[str, Any] = HEAD,
    dropped: int = 0,
    tail: str = "",
) -> Path:
    """Write them with a first and a last line; `tail`: what stands behind it."""
    closing = {"event": "closed", "written": len(rows) + 1, "dropped": dropped}
    path = folder / traces.FILE
    path.write_text("".join(json.dumps(row) + "\n" for row in (head, *rows, closing)) + tail, encoding="utf-8")
    return path


def traced(trial: store.TrialData, *, model_ms: float = 20.0, queue_ms: float = 5.0, **more: Any) -> store.TrialData:
    """The trial again with a trace in which each stream that ended well waits and computes so long after its end.

    1 ms from the client to the server; the text leaves 2 ms after the step.
    """
    rows: list[dict[str, Any]] = []
    for row in trial.utterances.to_dict("records"):
        if row["outcome"] != "ok":
            continue
        received = int(row["sent_end_ns"]) + 1_000_000
        started = received + round(queue_ms * 1e6)
        ended = started + round(model_ms * 1e6)
        early = [("received", received - 90_000_000), ("step_start", received - 80_000_000)]
        late = [("received", received), ("queued", received), ("step_start", started), ("step_end", ended)]
        own = [*early, ("step_end", received - 70_000_000), *late, ("sent", ended + 2_000_000)]
        rows += noted(str(row["request_id"]), own)
    write(trial.folder, rows, **more)
    asked = {**trial.info["asked"], "trace": True}
    store.write_json(trial.folder / store.TRIAL, {**trial.info, "asked": asked})
    return store.read_trial(trial.folder)
