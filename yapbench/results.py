"""What a notebook shows of one trial: each figure a method, computed once from the stored rows.

Also the small tables of the first notebook. Knows how a cell displays things; computes no number of its own.
"""

from __future__ import annotations

import html
import io
import wave
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from yapbench import captions, findings, measures, plots, turns
from yapbench.asking import TurnAnswer
from yapbench.doctor import Finding
from yapbench.figure import Figure
from yapbench.markup import Markup
from yapbench.measures import Point
from yapbench.obtained import STAND_INS, model_name
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.words import interval


class Results:
    """One trial's results; `Results(run.data()).latency()` in a cell of its own shows that figure."""

    def __init__(self, data: TrialData) -> None:
        self.data = data

    @cached_property
    def points(self) -> list[Point]:
        """The trial's points, with intervals."""
        return measures.points(self.data)

    @cached_property
    def decisions(self) -> turns.Decisions:
        """Turn decisions against labels."""
        return turns.decide([self.data])

    @property
    def model(self) -> str:
        """What the model was asked for as."""
        return model_name(self.data.info)

    @property
    def slo_ms(self) -> float:
        """The target latency of this trial."""
        return float(self.data.info.get("slo_ms") or measures.SLO_MS)

    def conclusion(self) -> Markup:
        """What the data says, in sentences; what it does not show is said too."""
        failed = int(self.data.info["status"] == "failed")
        lines = [
            findings.headline(self.points, failed=failed),
            captions.latency(self.points, self.slo_ms),
            captions.queueing(self.points),
            *([] if self.model == "random" else [captions.decisions(self.decisions, 1)]),
            *([STAND_INS[self.model]] if self.model in STAND_INS else []),
            *(
                f"{p.level:g}: {p.validity.verdict}, {'; '.join(p.validity.reasons)}"
                for p in self.points
                if not p.valid
            ),
        ]
        unique = list(dict.fromkeys(lines))
        items = "".join(f"<li>{html.escape(line)}</li>" for line in unique[1:])
        return Markup(f"<h3>{html.escape(unique[0])}</h3><ul>{items}</ul>")

    def latency(self) -> Figure:
        """p50 and p95 against load."""
        return plots.latency_by_level(self.points, slo_ms=self.slo_ms)

    def throughput(self) -> Figure:
        """Answers a second against load."""
        return plots.throughput_by_level(self.points)

    def batch_sizes(self) -> Figure:
        """How large the batches were that requests were part of."""
        return plots.batch_sizes(self.points)

    def queue_and_inference(self) -> Figure:
        """Where the time went: queue, model, the rest."""
        return plots.queue_and_inference(self.points)

    def timeline(self) -> Figure:
        """CPU and memory over the trial, with its levels marked."""
        return plots.resources_over_time(self.data, title=captions.resources(self.points))

    def turns(self) -> Figure:
        """Probabilities of complete and cut clips."""
        return plots.turn_probabilities(self.decisions, model=self.model if self.model in STAND_INS else "")

    def table(self) -> Markup:
        """Each level with its most used numbers and 95 % intervals."""
        columns = ("rps", "latency_p50_ms", "latency_p95_ms", "queue_ms", "inference_ms", "batch_size", "cpu_percent")
        rows = [
            [f"{point.level:g}", str(point.n), str(sum(point.failures.values())), str(point.validity.verdict)]
            + [estimate(point[name]) for name in columns]
            for point in self.points
        ]
        return table(["load", "n", "failed", "verdict", *columns], rows)


def estimate(value: Estimate, *, digits: int | None = 1) -> str:
    """A number with its interval for a cell of a table; a missing one is a dash with its reason."""
    digits = 1 if digits is None else digits
    if value.value is None:
        return f"<span title='{html.escape(value.reason)}'>–</span>"
    doubt = ", indicative" if value.indicative else ""
    return f"{value.value:.{digits}f} <small>{html.escape(interval(value))}{doubt}</small>"


def findings_table(found: Iterable[Finding]) -> Markup:
    """What `yapbench doctor` found, one line each with its remedy."""
    rows = [["✓" if f.ok else "✗" if f.needed else "○", html.escape(f.what), _code(f.remedy)] for f in found]
    return table(["", "found", "what mends it"], rows)


def answers_table(answers: Sequence[TurnAnswer]) -> Markup:
    """Each clip with a player, what was said, and the model's answer beside the label."""
    rows = [
        [
            html.escape(answer.utterance.text or answer.utterance.id),
            f"<audio controls src='data:audio/wav;base64,{_wav(answer)}'></audio>",
            str(answer.utterance.label),
            f"{'complete' if answer.complete else 'cut'} ({answer.probability:.2f})",
            f"{answer.latency_ms:.0f} ms",
        ]
        for answer in answers
    ]
    return table(["said", "listen", "truth", "the model says", "latency"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A plain table; cells are markup already."""
    top = "".join(f"<th style='text-align:left'>{name}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    return Markup(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>" if text else ""


def _wav(answer: TurnAnswer, *, sample_rate_hz: int = 16_000) -> str:
    samples = answer.utterance.audio(sample_rate_hz)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return b64encode(stream.getvalue()).decode()
