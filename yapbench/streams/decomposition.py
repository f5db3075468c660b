"""Where the time from the end of speech to the final goes: client, network, queue, model, sending, each from the stamps
of both sides.

The parts are between neighbouring stamps and so add up to `eos` exactly; none is clipped: a negative one says that two
stamps were taken in another order than the formula has them. Means are shown, because means of parts add up to the mean
of the whole and medians do not. Pure; knows trials and traces, no figure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from yapbench import axes, stats
from yapbench.measures import Point
from yapbench.obtained import setting_of
from yapbench.schema import Phase
from yapbench.stats import Estimate, Resample
from yapbench.store import TrialData
from yapbench.streams.times import Stream
from yapbench.traces import Spans, Trace
from yapbench.words import at, capital, ms

PARTS: Final = {
    "frame": "waiting for the frame that holds the end of speech",
    "client": "client, until the end message is handed over",
    "up": "network to the server, until it is received",
    "queue": "queue, until the model's first step and between its steps",
    "model": "model",
    "send": "server, from the last step until the final is sent",
    "down": "network back, until the final is here",
}
"""Parts in the order of time, and what each is called."""

NAMES: Final = {
    "frame": "rest of the frame",
    "client": "client",
    "up": "network up",
    "queue": "queue",
    "model": "model",
    "send": "send",
    "down": "network down",
}


_IN_A_SENTENCE: Final = {
    "frame": "the rest of the frame in which speech ends",
    "client": "the client's own delay",
    "up": "the network to the server",
    "queue": "the queue",
    "model": "the model",
    "send": "sending the final",
    "down": "the network back",
}


@dataclass(frozen=True)
class Decomposed:
    """Parts of one stream's time from the end of speech to the final, by the names of PARTS, ns; or why there are none.

    Their sum is r(final) - a(end), a(end) rounded to a nanosecond.
    """

    parts_ns: Mapping[str, int]
    reason: str = ""


@dataclass(frozen=True)
class Level:
    """A point's mean parts."""

    point: Point
    parts: Mapping[str, Estimate]
    """By the names of PARTS, ms, with intervals as of every mean."""
    eos: Estimate
    """The mean of the same streams' whole time, ms: what the parts add up to."""
    left_out: Mapping[str, int]
    """Streams that have no parts, by reason."""
    negative: Mapping[str, int]
    """Streams in which a part is negative, by its name."""


def decompose(stream: Stream, spans: Spans | None) -> Decomposed:
    """One stream's parts.

    frame: a(end) to the end message's due time; client: to when it was handed over; up: to the last `received`;
    model: what the stream's own steps take from then on; queue: the rest of the time until the last step's end; send:
    to the last `sent`; down: to r(final).
    """
    if not stream.ok:
        return Decomposed({}, f"outcome {stream.outcome}")
    due_ns, handed_ns, final = stream.end_due_ns, stream.sent_end_ns, stream.final
    if not stream.is_paced or due_ns is None:
        return Decomposed({}, "not paced: the audio has no clock")
    if stream.end_s is None:
        return Decomposed({}, "the corpus does not say when speech ends")
    if handed_ns is None or final is None:
        return Decomposed({}, "no end message or no final")
    if spans is None:
        return Decomposed({}, "the trace has nothing of it")
    if not (spans.received_ns and spans.steps_ns and spans.sent_ns):
        return Decomposed({}, "the trace lacks its receiving, its steps or its sending")
    received_ns, stepped_ns, sent_ns = max(spans.received_ns), max(end for _, end in spans.steps_ns), spans.sent_ns[-1]
    model_ns = sum(max(0, end - max(start, received_ns)) for start, end in spans.steps_ns)
    spoken_ns, due_ns = round(stream.audio_ns(stream.end_s)), round(due_ns)
    return Decomposed(
        {
            "frame": due_ns - spoken_ns,
            "client": handed_ns - due_ns,
            "up": received_ns - handed_ns,
            "queue": stepped_ns - received_ns - model_ns,
            "model": model_ns,
            "send": sent_ns - stepped_ns,
            "down": final.at_ns - sent_ns,
        }
    )


def of_trial(
    trial: TrialData, points: Sequence[Point], trace: Trace, *, replicates: int = stats.REPLICATES
) -> list[Level]:
    """Those of the trial's `points` that are valid and of which at least one stream has parts, by level."""
    if trace.problem or _eos_policy(trial) != "commit":
        return []
    found = []
    for point in sorted((p for p in points if p.trial_id == trial.info["trial_id"] and p.valid), key=lambda p: p.level):
        level = _level(trial, point, trace, replicates)
        if level is not None:
            found.append(level)
    return found


def why_not(trial: TrialData, trace: Trace) -> str:
    """Why a trial has no parts at all; empty if it may have some."""
    if _eos_policy(trial) == "file":
        return "a file has no clock from which its parts could be counted"
    if _eos_policy(trial) != "commit":
        return "the server finds the end of speech by itself, so that no end message parts its waiting from its work"
    if trace.problem:
        return trace.problem
    if not any(spans.steps_ns for spans in trace.requests.values()):
        return "its server writes no steps of streams into the trace"
    return ""


def _eos_policy(trial: TrialData) -> str:
    return str(setting_of(trial.info).get("eos", "commit"))


def _level(trial: TrialData, point: Point, trace: Trace, replicates: int) -> Level | None:
    rows = trial.utterances
    counted = rows[(rows["level"] == point.level) & (rows["phase"] == Phase.STEADY)]
    each = [decompose(Stream.of(row), trace.requests.get(str(row["request_id"]))) for row in counted.to_dict("records")]
    if not any(one.parts_ns for one in each):
        return None
    drawn = Resample.draw(counted["repeat"], counted["stream"], replicates=replicates)
    table = np.array([[one.parts_ns.get(name, np.nan) for name in PARTS] for one in each], dtype=np.float64) / 1e6
    return Level(
        point=point,
        parts={name: drawn.estimate(table[:, k], stats.mean) for k, name in enumerate(PARTS)},
        eos=drawn.estimate(table.sum(axis=1), stats.mean),
        left_out=dict(sorted(Counter(one.reason for one in each if one.reason).items())),
        negative={name: count for name in PARTS if (count := sum(one.parts_ns.get(name, 0) < 0 for one in each))},
    )


def caption(levels: Sequence[Level]) -> str:
    """Which part is the largest at the heaviest load, where the intervals show that one is."""
    heaviest = max(level.point.level for level in levels)
    top = [level for level in levels if level.point.level == heaviest]
    where = at([top[0].point], heaviest)
    found = [_largest(level) for level in top]
    shown = dict.fromkeys(name for name in found if name)
    if not shown:
        return f"Parts of the time to the final: none is shown to be the largest at {where}"
    names = axes.varying([level.point.setting for level in levels])
    name = max(shown, key=found.count)
    mine = sorted((level for level, own in zip(top, found, strict=True) if own == name), key=_share(name))
    which = f" in {len(mine)} of {len(top)} settings" if len(top) > 1 else ""
    shares = [round(100 * _share(name)(one)) for one in (mine[0], mine[-1])]
    values = f"{shares[0]}–{shares[1]} % of the time" if shares[0] != shares[1] else f"{shares[0]} % of the time"
    if len(mine) == 1:
        values = f"{ms(mine[0].parts[name].value or 0)} of {ms(mine[0].eos.value or 0)} ms"
    only = f" ({axes.label(mine[0].point.setting, names)})" if len(mine) == 1 and len(top) > 1 and names else ""
    return f"{capital(_IN_A_SENTENCE[name])} is the largest part at {where}{which}{only}: {values}"


def _share(name: str) -> Callable[[Level], float]:
    return lambda level: (level.parts[name].value or 0.0) / (level.eos.value or 1.0)


def _largest(level: Level) -> str:
    """The part whose mean is above that of every other one, intervals apart; empty where none is."""
    top = max(PARTS, key=lambda name: level.parts[name].value or 0.0)
    low, others = level.parts[top].low, [level.parts[name].high for name in PARTS if name != top]
    return top if low is not None and all(high is not None and high < low for high in others) else ""
