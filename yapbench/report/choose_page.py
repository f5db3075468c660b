"""The page that answers which server to take: a verdict for each use, one table of all candidates, two figures.

Everything else on it is that of any page of streams. Knows choices; computes no number of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench import axes
from yapbench.captions import Number
from yapbench.choose import figures as drawn
from yapbench.choose import sentences, table
from yapbench.choose.candidate import Candidate
from yapbench.choose.choice import Choice
from yapbench.choose.use import MEASURES as DECIDING
from yapbench.choose.verdict import Kind, Verdict, number_of
from yapbench.figure import Figure
from yapbench.findings import Finding
from yapbench.measures import Point
from yapbench.report import stream_page
from yapbench.report.gather import Gathered
from yapbench.report.ramp import RampCell
from yapbench.report.rows import DASH
from yapbench.report.stream_page import FAILED as FAILED
from yapbench.report.stream_page import MEASURES as MEASURES
from yapbench.report.stream_page import THING as THING
from yapbench.report.stream_page import columns as columns
from yapbench.report.stream_page import how as how
from yapbench.words import capital, number

PAGE: Final = "choose.html.j2"
OWN: Final = PAGE
METHOD: Final = "choose_method.html.j2"

LONG_ENOUGH_S: Final = 120.0
"""Of a probe, for a claim that is published."""

_LOOKS: Final = {
    Kind.TAKEN: ("shown", ""),
    Kind.TIED: ("not told apart", "disturbed"),
    Kind.NONE: ("nobody", "invalid"),
}


def badges(gathered: Gathered) -> list[str]:
    """Of the load generator alone: that files are no live audio, and that servers differ in their work, is the matter
    of this page.
    """
    return stream_page.of_certificates(gathered)


def headline(points: Sequence[Point], *, failed: int = 0) -> str:
    """Of points alone there is no verdict: see `Gathered.choice`."""
    return stream_page.headline(points, failed=failed)


def findings(points: Sequence[Point]) -> list[Finding]:
    """None: settings of different servers are no effects of each other."""
    return []


def numbers(gathered: Gathered) -> list[Number]:
    """For each use the number that decides, of the one that is taken."""
    return [_number(verdict, gathered.choice) for verdict in gathered.choice.verdicts]


def figures(gathered: Gathered) -> list[Figure]:
    """Words against times, and cost."""
    return [drawn.words_and_times(gathered.choice), drawn.costs(gathered.choice)]


def notes(gathered: Gathered) -> list[str]:
    """What models stand in for others, what short probes mean, and who failed to be measured."""
    return [*stream_page.notes(gathered), *_short_probes(gathered), *_failed(gathered)]


@dataclass(frozen=True)
class Card:
    """One use."""

    key: str
    name: str
    title: str
    mark: str
    look: str
    reason: str
    changes: list[str]
    demands: str
    behind: list[str]
    left_out: list[str]
    load: str


@dataclass(frozen=True)
class Row:
    """One candidate."""

    name: str
    href: str
    """Its trial on the page."""
    notebook: str
    """Its executed notebook beside the page; empty where there is none."""
    taken_for: str
    model: str
    load: str
    streams: RampCell
    cells: list[RampCell]
    apart: str


def own(gathered: Gathered) -> dict[str, Any]:
    """For the templates of this page."""
    choice = gathered.choice
    columns = table.columns(choice)
    return {
        "cards": [_card(verdict, choice) for verdict in choice.verdicts],
        "candidate_columns": columns,
        "candidates": [_row(one, choice, columns, gathered) for one in choice.candidates],
        "deciding": DECIDING,
        "terms": choice.terms.words,
        "norms": stream_page.own(gathered)["norms"],
    }


def _card(verdict: Verdict, choice: Choice) -> Card:
    mark, look = _LOOKS[verdict.kind]
    loads = [sentences.load_words(one, choice.slo_ms) for one in verdict.first]
    many = len(loads) > 1
    return Card(
        key=verdict.use.key,
        name=verdict.use.name,
        title=sentences.title(verdict),
        mark=mark,
        look=look,
        reason=sentences.reason(verdict, choice.terms),
        changes=sentences.changes(choice.candidates, verdict, choice.terms),
        demands=sentences.demands(verdict),
        behind=sentences.behind(verdict, choice.terms),
        left_out=[sentences.left_out(one, choice.terms) for one in verdict.left_out],
        load="; ".join(f"{one.name} {said}" if many else said for one, said in zip(verdict.first, loads, strict=True)),
    )


def _row(one: Candidate, choice: Choice, columns: Sequence[table.Column], gathered: Gathered) -> Row:
    uses = [v.use.name.lower() for v in choice.verdicts if v.kind is Kind.TAKEN and v.first[0] is one]
    trial = next(each for each in gathered.done if each.info["trial_id"] == one.trial_id)
    found = one.streams
    bounds = "" if found.value is None or found.high == float("inf") else f"{found.low:.1f}–{found.high:.1f}"
    streams = RampCell(one.streams_words, found.value or -1.0, found.reason or "streams at a time", range=bounds)
    return Row(
        name=one.name,
        href=f"#trial-{one.trial_id}",
        notebook=trial.folder.name if (trial.folder / "notebook.ipynb").exists() else "",
        taken_for=", ".join(uses),
        model=one.model,
        load=sentences.load_words(one, choice.slo_ms),
        streams=streams,
        cells=[_cell(column, one) for column in columns],
        apart=one.apart,
    )


def _cell(column: table.Column, one: Candidate) -> RampCell:
    found = column.of(one)
    if found.value is None:
        return RampCell(DASH, -1.0, found.reason or "not known", faint=True)
    hint = f"{column.meaning}; n {found.n}{'; indicative only' if found.indicative else ''}"
    return RampCell(column.digits(found.value), found.value, hint, found.indicative, column.interval(found))


def _number(verdict: Verdict, choice: Choice) -> Number:
    label = f"{verdict.use.name}: {sentences.title(verdict)}"
    if verdict.kind is Kind.NONE:
        return Number(None, "", label, "", sentences.reason(verdict, choice.terms))
    by = verdict.decided_by or verdict.use.order[0]
    label = f"{label}, {DECIDING[by].name}"
    found, measure = number_of(verdict.first[0], by), DECIDING[by]
    unit = choice.terms.unit if by == "cost" else measure.unit
    bounds = f"{measure.digits(found.low)}–{measure.digits(found.high)}" if found.low is not None and found.high else ""
    return Number(measure.digits(found.value or 0.0), unit, label, bounds, measure.name)


def _short_probes(gathered: Gathered) -> list[str]:
    """That probes were too short for a claim that is published, where they were."""
    searches = [trial.info for trial in gathered.done if trial.info.get("search")]
    lengths = sorted({float((info.get("load") or {}).get("duration_s") or 0.0) for info in searches})
    if not lengths or lengths[0] >= LONG_ENOUGH_S:
        return []
    said = " to ".join(dict.fromkeys(axes.plain(end) for end in (lengths[0], lengths[-1])))
    return [
        f"Probes of {said} s are a quick look: few utterances make wide intervals, a drift of the machine is not seen, "
        f"and two candidates that differ little are not told apart. For a claim that is published, "
        f"duration_s: {axes.plain(LONG_ENOUGH_S)}."
    ]


def _failed(gathered: Gathered) -> list[str]:
    if not gathered.failed:
        return []
    names = list(dict.fromkeys(str(trial.info["server"]) for trial in gathered.failed))
    said = f"{capital(number(len(gathered.failed)))} candidate{'' if len(gathered.failed) == 1 else 's'}"
    return [
        f"{said} could not be measured and take{'s' if len(gathered.failed) == 1 else ''} no part: {', '.join(names)}."
    ]
