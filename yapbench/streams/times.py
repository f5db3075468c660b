"""One stream's stamps, and every time that can be told from them. Pure: what a stamp is missing for has its reason.

The audio's clock: second a of the audio is at t0 + a / pace, where t0 is the row's `intended_ns`; frame k is due at
t0 + (k + 1) F / pace, when its last sample has been spoken, and the end message is due with the frame that holds the
end of speech. Knows no transcript's worth and no other stream.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from yapbench.corpus import Word
from yapbench.schema import Outcome
from yapbench.stats import Estimate

PARTIAL: Final = "partial"
FINAL: Final = "final"
READY: Final = "ready"
_COLUMNS: Final = (
    *("outcome", "intended_ns", "audio_s", "lateness_ns", "frame_ms", "pace", "connect_start_ns", "connected_ns"),
    *("sent_ns", "sent_end_ns", "events", "words", "speech_end_s", "reference", "language"),
)
"""What `Stream.of` reads."""
_NO_ANSWER: Final = frozenset({READY, "closed"})
"""Kinds of events that answer no audio."""


@dataclass(frozen=True)
class Message:
    """One event as it was stamped. `text`: the whole transcript of the utterance so far, or None."""

    at_ns: int
    kind: str
    text: str | None = None
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One utterance as it was stored; None: not stored, or it never happened."""

    outcome: str
    t0_ns: int
    audio_s: float
    lateness_ns: tuple[int, ...] = ()
    """Of each paced frame that was handed over; of silence behind the speech too."""
    frame_ms: float | None = None
    pace: float | None = None
    """1: live; 10: ten times faster; 0 or None: as fast as accepted, so that there is no clock of the audio."""
    connect_start_ns: int | None = None
    connected_ns: int | None = None
    sent_ns: int | None = None
    sent_end_ns: int | None = None
    events: tuple[Message, ...] = ()
    words: tuple[Word, ...] = ()
    speech_end_s: float | None = None
    reference: str | None = None
    language: str | None = None

    @classmethod
    def all_of(cls, rows: pd.DataFrame) -> list[Stream]:
        """Those of many stored rows, in their order: for less than each alone."""
        names = [name for name in _COLUMNS if name in rows]
        columns = (rows[name].tolist() for name in names)
        return [cls.of(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]

    @classmethod
    def of(cls, row: Mapping[Any, Any] | pd.Series[Any]) -> Stream:
        """From a stored row of `schema.UTTERANCES`; columns that an older schema lacks count as not stored."""
        words: Any = row.get("words")
        events = [
            Message(int(e["at_ns"]), e["kind"], e["text"], len((e["data"] or e["text"] or "").encode()))
            for e in row["events"]
        ]
        return cls(
            outcome=str(row["outcome"]),
            t0_ns=int(row["intended_ns"]),
            audio_s=float(row["audio_s"]),
            lateness_ns=tuple(np.asarray(row["lateness_ns"], dtype=np.int64).tolist()),
            frame_ms=_number(row.get("frame_ms")),
            pace=_number(row.get("pace")),
            connect_start_ns=_whole(row.get("connect_start_ns")),
            connected_ns=_whole(row.get("connected_ns")),
            sent_ns=_whole(row.get("sent_ns")),
            sent_end_ns=_whole(row.get("sent_end_ns")),
            events=tuple(events),
            words=() if _absent(words) else tuple(Word(w["word"], w["start_s"], w["end_s"]) for w in words),
            speech_end_s=_number(row.get("speech_end_s")),
            reference=_text(row.get("reference")),
            language=_text(row.get("language")),
        )

    @property
    def ok(self) -> bool:
        """It ended as it should; everything else has no latency."""
        return self.outcome == Outcome.OK

    @cached_property
    def final(self) -> Message | None:
        """The last final message: from then on the whole utterance is known to be covered."""
        return next((event for event in reversed(self.events) if event.kind == FINAL), None)

    @cached_property
    def shown(self) -> tuple[Message, ...]:
        """Messages with a transcript, up to the last final one where there is one."""
        until = max((k + 1 for k, event in enumerate(self.events) if event.kind == FINAL), default=None)
        return tuple(
            event for event in self.events[:until] if event.kind in (PARTIAL, FINAL) and event.text is not None
        )

    @cached_property
    def partials(self) -> tuple[Message, ...]:
        """All partial messages, empty and unchanged ones too: each is work done and sent."""
        return tuple(event for event in self.events if event.kind == PARTIAL)

    @property
    def is_paced(self) -> bool:
        """There is a clock of the audio."""
        return bool(self.pace)

    @cached_property
    def onset_s(self) -> float | None:
        """Where speech begins in the audio: the first word's start."""
        return min((word.start_s for word in self.words), default=None)

    @cached_property
    def end_s(self) -> float | None:
        """Where speech ends in the audio: as the corpus says, else the last word's end."""
        return self.speech_end_s if self.speech_end_s is not None else max((w.end_s for w in self.words), default=None)

    @property
    def speech_s(self) -> float:
        """Length of the speech; to the ends of the audio where the corpus does not say."""
        start_s, end_s = self.onset_s or 0.0, self.audio_s if self.end_s is None else self.end_s
        return max(0.0, end_s - start_s)

    @cached_property
    def frames(self) -> int | None:
        """How many frames there are up to the one that holds the end of speech (of the audio, where it is not known).

        Behind it the end message follows, or, where the server has to find the end by itself, silence.
        """
        if not self.frame_ms:
            return None
        end_s = self.audio_s if self.speech_end_s is None else self.speech_end_s
        holding = max(1, math.ceil(1e3 * end_s / self.frame_ms - 1e-6))
        return min(holding, len(self.lateness_ns)) if self.is_paced else holding

    @property
    def sent_s(self) -> float:
        """Length of the audio in those frames; an upload's is that of its file."""
        return self.audio_s if self.frames is None else self.frames * (self.frame_ms or 0) / 1e3

    @cached_property
    def end_due_ns(self) -> float | None:
        """When the last of those frames was due, and with it the end message; None where nothing is due."""
        return self.audio_ns(self.sent_s) if self.is_paced and self.frames else None

    @property
    def end_frame_ns(self) -> float | None:
        """When that frame was handed over."""
        due_ns = self.end_due_ns
        return None if due_ns is None else due_ns + self.lateness_ns[(self.frames or 0) - 1]

    @property
    def first_frame_ns(self) -> float | None:
        """When the first frame was handed over: its due time and lateness; unpaced: the first byte of all."""
        if self.end_due_ns is None:
            return self.sent_ns
        return self.audio_ns((self.frame_ms or 0) / 1e3) + self.lateness_ns[0]

    def audio_ns(self, at_s: float) -> float:
        """When second `at_s` of the audio was spoken. Only for a paced stream."""
        assert self.pace
        return self.t0_ns + at_s * 1e9 / self.pace


_UNPACED: Final = "not paced: the audio has no clock"

TIMES: Final = {
    "connect": "from dialling until the connection stood",
    "handshake": "from there until the server said it was ready",
    "ttfp": "from the onset of speech to the first partial with words",
    "ttfp_wire": "from the first frame handed over to the first partial with words",
    "first_response": "from the first frame handed over to the first message of any kind that answers audio",
    "first_word": "from the first frame handed over to the first words, partial or final",
    "eos": "from the end of speech in the audio to the last final: what a user feels",
    "eos_due": "from when the end message was due to the last final",
    "flush": "from the end message handed over to the last final: the server's work alone",
    "last_frame": "from the frame that holds the end of speech handed over to the last final",
    "last_partial": "from the last partial to the last final",
    "send": "from the first byte to the last handed over",
    "delta_to_audio": "from the first frame to the last final, less the length of the audio in between",
    "partial_gap": "between two partials, mean of a stream",
    "partial_gap_max": "between two partials, the longest of a stream",
}
"""Times of one stream in ms."""


def times_ms(stream: Stream) -> dict[str, Estimate]:
    """All of TIMES, each a value or the reason why there is none. Only a stream that ended well has any."""
    if not stream.ok:
        return dict.fromkeys(TIMES, Estimate.missing(f"outcome {stream.outcome}"))
    start, end, due = stream.first_frame_ns, stream.sent_end_ns, stream.end_due_ns
    first_partial = _first(event for event in stream.partials if (event.text or "").strip())
    first_word = _first(event for event in stream.shown if (event.text or "").strip())
    answers = _first(event for event in stream.events if event.kind not in _NO_ANSWER and event.at_ns >= (start or 0))
    ready = _first(
        event for event in stream.events if event.kind == READY and event.at_ns >= (stream.connected_ns or 0)
    )
    last_partial = stream.partials[-1].at_ns if stream.partials else None
    final = stream.final.at_ns if stream.final else None
    onset = _spoken(stream, stream.onset_s)
    gaps = [(after.at_ns - before.at_ns) / 1e6 for before, after in pairwise(stream.partials)]
    unmarked = "the corpus does not say when speech {}s" if stream.is_paced else _UNPACED
    unpaced = "no paced frame" if stream.is_paced else "not paced: no frame is due at a time"
    kept_open = "the connection was kept open"
    spent = _between(start, final, "no frame was handed over", "no final")
    return {
        "connect": _between(stream.connect_start_ns, stream.connected_ns, kept_open, "no connection"),
        "handshake": _between(stream.connected_ns, ready, kept_open, "the server does not say ready"),
        "ttfp": _between(onset, first_partial, unmarked.format("begin"), "no partial with words"),
        "ttfp_wire": _between(start, first_partial, "no frame was handed over", "no partial with words"),
        "first_response": _between(start, answers, "no frame was handed over", "no message"),
        "first_word": _between(start, first_word, "no frame was handed over", "no words"),
        "eos": eos_ms(stream),
        "eos_due": _between(due, final, unpaced, "no final"),
        "flush": _between(end, final, "the end message was not handed over", "no final"),
        "last_frame": _between(stream.end_frame_ns, final, unpaced, "no final"),
        "last_partial": _between(last_partial, final, "no partial", "no final"),
        "send": _between(stream.sent_ns, end, "nothing was handed over", "not all was handed over"),
        "delta_to_audio": spent if spent.value is None else _value(spent.value - 1e3 * stream.sent_s),
        "partial_gap": _value(sum(gaps) / len(gaps)) if gaps else Estimate.missing("fewer than two partials"),
        "partial_gap_max": _value(max(gaps)) if gaps else Estimate.missing("fewer than two partials"),
    }


def stream_rtf(stream: Stream) -> Estimate:
    """(last final - t0) / (end message's due time - t0): at least 1 as long as the end message is waited for.

    From 1.05 on, over 30 s and more of audio, the server falls behind.
    """
    if not stream.ok:
        return Estimate.missing(f"outcome {stream.outcome}")
    if stream.end_due_ns is None:
        return Estimate.missing("no paced frame" if stream.is_paced else "not paced: see rtfx")
    if stream.final is None:
        return Estimate.missing("no final")
    return _value((stream.final.at_ns - stream.t0_ns) / (stream.end_due_ns - stream.t0_ns))


def processing_s(stream: Stream) -> Estimate:
    """From the first byte sent to the last final, for audio that was sent as fast as accepted: RTF's numerator."""
    if not stream.ok:
        return Estimate.missing(f"outcome {stream.outcome}")
    if stream.is_paced:
        return Estimate.missing("paced: its wall time is the audio's own")
    final = stream.final.at_ns if stream.final else None
    taken = _between(stream.sent_ns, final, "nothing was handed over", "no final")
    return taken if taken.value is None else taken.scaled(1e-3)


def rtf(stream: Stream) -> Estimate:
    """Time taken per time that the audio took: `stream_rtf`; unpaced, `processing_s` per second of audio sent."""
    if stream.is_paced:
        return stream_rtf(stream)
    taken = processing_s(stream)
    return taken.scaled(1 / stream.sent_s) if taken.value is not None and stream.sent_s else taken


def xrt(stream: Stream) -> Estimate:
    """The same the other way round: above 1 is faster than the audio."""
    taken = rtf(stream)
    return _value(1 / taken.value) if taken.value else taken


def _spoken(stream: Stream, at_s: float | None) -> float | None:
    return stream.audio_ns(at_s) if stream.is_paced and at_s is not None else None


def _between(start_ns: float | None, end_ns: float | None, no_start: str, no_end: str) -> Estimate:
    if start_ns is None:
        return Estimate.missing(no_start)
    return Estimate.missing(no_end) if end_ns is None else _value((end_ns - start_ns) / 1e6)


def _value(value: float) -> Estimate:
    return Estimate(value, n=1)


def eos_ms(stream: Stream) -> Estimate:
    """`eos` of `times_ms` alone."""
    if not stream.ok:
        return Estimate.missing(f"outcome {stream.outcome}")
    unmarked = "the corpus does not say when speech ends" if stream.is_paced else _UNPACED
    final = stream.final.at_ns if stream.final else None
    return _between(_spoken(stream, stream.end_s), final, unmarked, "no final")


def _first(events: Any) -> int | None:
    return next((event.at_ns for event in events), None)


def _absent(value: Any) -> bool:
    """None, NaN or NA; a list is never absent."""
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _number(value: Any) -> float | None:
    return None if _absent(value) else float(value)


def _whole(value: Any) -> int | None:
    return None if _absent(value) else int(value)


def _text(value: Any) -> str | None:
    return None if _absent(value) else str(value)
