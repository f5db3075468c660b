"""What a notebook shows of one trial of streams: each figure a method, computed once from the stored rows.

Knows how a cell displays things; computes no number of its own.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from yapbench import captions as resources
from yapbench import devices, plots
from yapbench import measures as of_requests
from yapbench.figure import Figure
from yapbench.markup import Markup
from yapbench.measures import Point
from yapbench.obtained import UNSCORED, model_name
from yapbench.results import estimate, table
from yapbench.schema import Phase
from yapbench.store import TrialData
from yapbench.streams import captions, measures, ramp
from yapbench.streams.differences import marked
from yapbench.streams.measures import Measured
from yapbench.streams.times import Stream
from yapbench.wer import Score

MOST_TRANSCRIPTS: Final = 12

_SHARES: Final = ("wer", "upwr")
_COLUMNS: Final = (
    *("eos_p50_ms", "eos_p95_ms", "ttfp_p50_ms", "emission_p50_ms", "flush_p50_ms"),
    *("wer", "upwr", "audio_s_per_s", "cpu_percent"),
)


class StreamResults:
    """One trial's results; `StreamResults(run.data()).eos()` in a cell of its own shows that figure."""

    def __init__(self, data: TrialData) -> None:
        self.data = data

    @cached_property
    def points(self) -> list[Point]:
        """The trial's points, with intervals."""
        return measures.points(self.data)

    @property
    def slo_ms(self) -> float:
        """The target from the end of speech to the last final."""
        return float(self.data.info.get("slo_ms") or of_requests.SLO_MS)

    @property
    def policy(self) -> str:
        """Who ends an utterance."""
        return str(((self.data.info.get("load") or {}).get("stream") or {}).get("eos", "commit"))

    def conclusion(self) -> Markup:
        """What the data says, in sentences; what it does not show is said too."""
        if not self.points:
            return Markup("<h3>Nothing was measured: the server failed</h3>")
        unpaced = not captions.manner_of(self.points[0]).pace
        lines = [
            captions.speed(self.points) if unpaced else captions.within(self.points, self.slo_ms, full=True),
            *([] if unpaced else [captions.first_words(self.points)]),
            captions.failures(self.points),
            self._words(),
            *(text for server, text in captions.SCRIPTED.items() if server == self.data.info.get("server")),
            *(text for model, text in captions.STAND_INS.items() if model == model_name(self.data.info)),
            captions.lateness(self.points),
            *(
                f"{p.level:g}: {p.validity.verdict}, {'; '.join(p.validity.reasons)}"
                for p in self.points
                if not p.valid
            ),
        ]
        items = "".join(f"<li>{html.escape(line)}</li>" for line in lines[1:] if line)
        return Markup(f"<h3>{html.escape(lines[0])}</h3><ul>{items}</ul>")

    def eos(self) -> Figure:
        """End of speech to the last final against load; of uploads the last byte to the text."""
        if self.policy == "file":
            return plots.answers_by_level(self.points)
        return plots.eos_by_level(self.points, eos=self.policy, slo_ms=self.slo_ms)

    def ttfp(self) -> Figure:
        """Onset of speech to the first words against load."""
        return plots.ttfp_by_level(self.points, eos=self.policy)

    def rtfx(self) -> Figure:
        """Speed of audio that was sent as fast as accepted."""
        return plots.rtfx_by_level(self.points)

    def ecdf(self, measure: str | None = None) -> Figure:
        """The whole distribution of one time, by level: where none is named, the one of `eos`."""
        measure = measure or ("flush" if self.policy == "file" else "eos")
        return plots.ecdf(self.data, eos=self.policy, measure=measure, slo_ms=self.slo_ms if measure == "eos" else None)

    def sessions(self, level: float | None = None) -> Figure:
        """Sessions over time, each a lane."""
        return plots.session_timeline(self.data, level=level)

    def failures(self) -> Figure:
        """What failed, by type."""
        return plots.failures_by_type(self.points)

    def lateness(self) -> Figure:
        """How late the client handed its frames over."""
        return plots.frame_lateness(self.points)

    def timeline(self) -> Figure:
        """CPU and memory over the trial, with its levels marked."""
        return plots.resources_over_time(self.data, title=resources.resources(self.points))

    def table(self) -> Markup:
        """Each level with its most used numbers and 95 % intervals."""
        rows = [
            [f"{point.level:g}", str(point.n), str(sum(point.failures.values())), str(point.validity.verdict)]
            + [_cell(point, name) for name in _COLUMNS]
            for point in self.points
        ]
        heads = [f"{name} %" if name in _SHARES else name for name in _COLUMNS]
        return table(["load", "n", "failed", "verdict", *heads], rows)

    def ramp(self) -> Markup:
        """The classic table: a row for each load with its times, its WER, what it took, and how many failed."""
        if not self.points:
            return Markup("<p>Nothing was measured.</p>")
        found = devices.during(self.data, [point.level for point in self.points])
        shown = ramp.columns(self.points, found)
        rows = [
            [f"{point.level:g}", str(point.n)]
            + [estimate(one.value(point, gpus).scaled(one.factor), digits=one.digits) for one in shown]
            + [str(sum(point.failures.values()))]
            for point, gpus in zip(self.points, found, strict=True)
        ]
        return table(["load", "n", *(one.title for one in shown), "failed"], rows)

    def transcripts(self, most: int = MOST_TRANSCRIPTS) -> Markup:
        """The utterances with the most word errors: struck out what was said, underlined what was put in its place.

        Each utterance once, in its worst showing; of streams that ended well.
        """
        if model_name(self.data.info) in UNSCORED:
            return Markup("<p>Random weights: their words mean nothing.</p>")
        worst: dict[str, Score] = {}
        for name, found in self._measured:
            score = found.score
            if score is None or not found.stream.ok or not score.words.errors.total:
                continue
            if name not in worst or score.words.errors.total > worst[name].words.errors.total:
                worst[name] = score
        if not worst:
            return Markup("<p>No word error in a stream that ended well.</p>")
        ranked = sorted(worst.items(), key=lambda item: (-item[1].words.errors.total, item[0]))
        rows = [
            [html.escape(name), f"{score.words.errors.total} of {score.words.errors.reference}", marked(score.words)]
            for name, score in ranked[:most]
        ]
        left = f"<p>{len(ranked) - most} more with errors.</p>" if len(ranked) > most else ""
        return Markup(table(["utterance", "errors", "normalised transcript"], rows).markup + left)

    def certificate(self) -> Markup:
        """What this machine was certified for as a load generator."""
        found = self.data.info.get("certificate")
        if not found:
            return Markup("<p>No certificate: <code>yapbench calibrate</code> makes one for this machine.</p>")
        what = f"{found['verdict']}, made {found['made_at']}" + (" (quick)" if found.get("quick") else "")
        reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in found.get("reasons", ()))
        bars = table(["bar", "what", "measured", "floor", "goal", "verdict"], map(_bar, found.get("bars", ())))
        return Markup(f"<p>{html.escape(what)}</p><ul>{reasons}</ul>{bars.markup}")

    @cached_property
    def _measured(self) -> list[tuple[str, Measured]]:
        rows = self.data.utterances[self.data.utterances["phase"] == Phase.STEADY]
        return [(str(row["utterance_id"]), measures.measure(Stream.of(row))) for row in rows.to_dict("records")]

    def _words(self) -> str:
        known = [p for p in self.points if p["wer"].value is not None]
        if not known:
            why = next((p["wer"].reason for p in self.points if p["wer"].reason), "")
            return f"Words: {why or 'no utterance with a reference ended well'}"
        said = [f"{100 * (p['wer'].value or 0):.1f} % at {p.level:g}" for p in {p.level: p for p in known}.values()]
        norms = ", ".join(measures.norm_versions(found for _, found in self._measured))
        return f"WER {', '.join(said)} ({norms})"


def _cell(point: Point, name: str) -> str:
    value = point[name]
    return estimate(value.scaled(100) if name in _SHARES and value.value is not None else value)


def _bar(bar: Mapping[str, Any]) -> Sequence[str]:
    def value(name: str) -> str:
        return "–" if bar.get(name) is None else f"{bar[name]:g} {html.escape(str(bar.get('unit', '')))}"

    what = " · ".join(filter(None, (str(bar.get("what", "")), str(bar.get("note", "")))))
    words = [html.escape(str(bar["bar"])), html.escape(what)]
    return [*words, value("value"), value("floor"), value("goal"), html.escape(str(bar["verdict"]))]
