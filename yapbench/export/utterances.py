"""Utterances as rows: each with all that can be told of it alone, so that totals and figures can be made elsewhere.

What is not known is empty. A stream that failed has no times, and its words count as deleted: sums over all rows give
the strict WER, sums over those that ended well the plain one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from yapbench import text, turns
from yapbench.export import trials
from yapbench.export.columns import FLAG, NUMBER, TEXT, WHOLE, Column
from yapbench.export.shared import Shared
from yapbench.export.tables import Row, Table
from yapbench.obtained import UNSCORED, model_name
from yapbench.report.gather import Gathered
from yapbench.schema import Outcome, Phase
from yapbench.streams.measures import Measured, measure
from yapbench.streams.times import TIMES, Stream

NAME: Final = "by_utterance"
"""Not `utterances`: an export may lie in the sweep's folder, where a file of that name marks a trial."""

_WHICH: Final = (
    Column("level", NUMBER, "load level", ""),
    Column("repeat", WHOLE, "round over all levels, from 0"),
    Column("phase", TEXT, "warmup, steady or drain"),
    Column("counted", FLAG, "it is of the steady phase: only these make the points"),
    Column("index", WHOLE, "order of intention within level and repeat"),
    Column("worker", WHOLE, "load process"),
    Column("stream", WHOLE, "which of the load's users sent it"),
    Column("utterance_id", TEXT, "name in the corpus"),
    Column("request_id", TEXT, "name on the wire"),
    Column("audio_s", NUMBER, "length of the audio"),
    Column("intended_s", NUMBER, "when it was to be sent, from the first of the trial on"),
    Column("outcome", TEXT, "ok, or how it failed"),
    Column("status", WHOLE, "HTTP status or close code", ""),
    Column("error", TEXT, "the server's or the socket's own words"),
    Column("lateness_p99_ms", NUMBER, "how late its frames, or its request, left the client: 99 % within"),
    Column("lateness_max_ms", NUMBER, "the latest of them"),
)
_OF_REQUESTS: Final = (
    Column("latency_ms", NUMBER, "from when it was meant to be sent to the answer"),
    Column("sent_ms", NUMBER, "from the first byte sent to the answer"),
    Column("queue_ms", NUMBER, "wait in the server's queue, by its own clock"),
    Column("inference_ms", NUMBER, "the model call that it was part of"),
    Column("batch_size", WHOLE, "size of the batch that it was part of"),
    Column("label", TEXT, "what is true: complete or cut"),
    Column("probability", NUMBER, "the server's answer: that the speaker has finished"),
    Column("prediction", WHOLE, "the same as 0 or 1", ""),
)
_OF_STREAMS: Final = (
    *(Column(f"{name}_ms", NUMBER, meaning) for name, meaning in TIMES.items()),
    Column("stream_rtf", NUMBER, "time to the last final per time to the end message"),
    Column("processing_s", NUMBER, "from the first byte to the last final, of audio sent as fast as accepted"),
    Column("lag_slope_ms_per_s", NUMBER, "what emission latency gains per second of the stream"),
    Column("speech_s", NUMBER, "length of the speech in the audio"),
    Column("partials", WHOLE, "partial messages"),
    Column("final_words", WHOLE, "words of the last text shown, as they are"),
    Column("unstable_words", WHOLE, "words that were shown and then changed or dropped"),
    Column("revisions", WHOLE, "runs of such words"),
    Column("erased_words", WHOLE, "words from the first change on"),
    Column("spoken_words", WHOLE, "words whose times are known, of streams that ended well"),
    Column("seen_words", WHOLE, "those of them that were ever shown"),
    Column("substitutions", WHOLE, "words taken for others, normalised"),
    Column("deletions", WHOLE, "words left out"),
    Column("insertions", WHOLE, "words added"),
    Column("reference_words", WHOLE, "words of the normalised reference"),
    Column("unordered_errors", WHOLE, "word errors with the words in any order"),
    Column("character_errors", WHOLE, "characters wrong, normalised"),
    Column("reference_characters", WHOLE, "characters of the normalised reference"),
    Column("language", TEXT, "language, as the corpus says"),
    Column("norm", TEXT, "what the texts were normalised by"),
    Column("reference", TEXT, "what was said"),
    Column("hypothesis", TEXT, "the last text shown, of streams that ended well"),
    Column("reference_normalised", TEXT, "what was said, as it takes part in WER"),
    Column("hypothesis_normalised", TEXT, "the last text shown, as it takes part in WER"),
)
_IDENTITY: Final = (Column("sweep", TEXT, "name of the sweep's folder"), Column("trial_id", TEXT, "its trial"))

OWN: Final = tuple(column.name for column in (*_IDENTITY, *_WHICH, *_OF_REQUESTS, *_OF_STREAMS))
"""Names that no column of a setting can have."""


def table(gathered: Gathered, shared: Shared) -> Table:
    """One row for each utterance of the finished trials, warm-up and drain too; of the settings those that vary."""
    own = _OF_STREAMS if gathered.streams else _OF_REQUESTS
    columns = [*_IDENTITY, *shared.varying, *_WHICH, *own]
    return Table.of(NAME, columns, _rows(gathered, shared))


def _rows(gathered: Gathered, shared: Shared) -> Iterator[Row]:
    for trial in gathered.done:
        head = {"sweep": shared.sweep, "trial_id": str(trial.info["trial_id"])}
        head |= trials.settings(trial.info, shared.settings)
        scored = model_name(trial.info) not in UNSCORED
        start_ns = int(trial.utterances["intended_ns"].min()) if len(trial.utterances) else 0
        for row in trial.utterances.to_dict("records"):
            own = _of_stream(row, scored=scored) if gathered.streams else _of_request(row)
            yield head | _common(row, start_ns) | own


def _common(row: Mapping[Any, Any], start_ns: int) -> dict[str, Any]:
    same = ("level", "repeat", "phase", "index", "worker", "stream", "utterance_id", "request_id", "audio_s", "outcome")
    late_ms = np.asarray(row["lateness_ns"], dtype=np.float64) / 1e6
    return {
        **{name: row[name] for name in same},
        "counted": row["phase"] == Phase.STEADY,
        "intended_s": round((int(row["intended_ns"]) - start_ns) / 1e9, 9),
        "status": _stored(row["status"]),
        "error": _stored(row["error"]),
        "lateness_p99_ms": _exact(float(np.percentile(late_ms, 99))) if late_ms.size else None,
        "lateness_max_ms": _exact(float(late_ms.max())) if late_ms.size else None,
    }


def _of_request(row: Mapping[Any, Any]) -> dict[str, Any]:
    answered = row["outcome"] == Outcome.OK
    said = turns.answer(row["events"]) or {}
    own = said.get("metrics")
    own = own if answered and isinstance(own, Mapping) else {}
    ended_ns, sent_ns = int(row["ended_ns"]), _stored(row["sent_ns"])
    return {
        "latency_ms": _exact((ended_ns - int(row["intended_ns"])) / 1e6) if answered else None,
        "sent_ms": _exact((ended_ns - int(sent_ns)) / 1e6) if answered and sent_ns is not None else None,
        "queue_ms": _ms(own.get("queue_time")),
        "inference_ms": _ms(own.get("inference_time")),
        "batch_size": _whole(own.get("batch_size")),
        "label": _stored(row["label"]),
        "probability": _number(said.get("probability")),
        "prediction": _whole(said.get("prediction")),
    }


def _of_stream(row: Mapping[Any, Any], *, scored: bool) -> dict[str, Any]:
    stream = Stream.of(row)
    found = measure(stream)
    shown = stream.shown[-1].text if stream.ok and stream.shown else None
    return {
        **{f"{name}_ms": _exact(value.value) for name, value in found.times.items()},
        "stream_rtf": _exact(found.stream_rtf.value),
        "processing_s": _exact(found.processing_s.value),
        "lag_slope_ms_per_s": _exact(found.lag_slope.value),
        "speech_s": _exact(stream.speech_s),
        "partials": len(stream.partials),
        **(_flicker(found) if stream.ok else {}),
        **(_score(found) if scored else {}),
        "language": stream.language,
        "reference": stream.reference,
        "hypothesis": shown,
        "reference_normalised": None if stream.reference is None else text.normalize(stream.reference, stream.language),
        "hypothesis_normalised": None if shown is None else text.normalize(shown, stream.language),
    }


def _flicker(found: Measured) -> dict[str, int]:
    return {
        "final_words": found.flicker.final_words,
        "unstable_words": found.flicker.unstable_words,
        "revisions": found.flicker.revisions,
        "erased_words": found.flicker.erased_words,
        "spoken_words": len(found.emissions),
        "seen_words": sum(word.first_ms is not None for word in found.emissions),
    }


def _score(found: Measured) -> dict[str, Any]:
    score = found.score
    if score is None:
        return {}
    errors = score.words.errors
    return {
        "substitutions": errors.substitutions,
        "deletions": errors.deletions,
        "insertions": errors.insertions,
        "reference_words": errors.reference,
        "unordered_errors": score.unordered,
        "character_errors": score.characters.total,
        "reference_characters": score.characters.reference,
        "norm": score.norm,
    }


def _stored(value: Any) -> Any:
    """None where nothing was stored: a frame has its own words for that."""
    return None if pd.isna(value) else value


def _exact(value: float | None) -> float | None:
    """A time in ms to the nanosecond that it was stamped with."""
    return None if value is None else round(value, 6)


def _number(said: object) -> float | None:
    """What a server said, where it is a number at all."""
    return float(said) if isinstance(said, int | float) and math.isfinite(said) else None


def _whole(said: object) -> int | None:
    found = _number(said)
    return int(found) if found is not None and found.is_integer() and abs(found) < 2**53 else None


def _ms(said_s: object) -> float | None:
    found = _number(said_s)
    return None if found is None else _exact(1e3 * found)
