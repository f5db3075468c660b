"""A comparison as one offline page in the look of a sweep's report. Computes no number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from markupsafe import Markup

from yapbench import axes
from yapbench.compare import circumstances, draws, sentences
from yapbench.compare.comparison import Comparison, Line
from yapbench.compare.family import Verdict
from yapbench.figure import Figure
from yapbench.plots.compare import changes
from yapbench.report.build import HERE, environment, look

_KINDS: Final = {Verdict.WORSE: "worse", Verdict.BETTER: "better", Verdict.SAME: "same", Verdict.OPEN: "open"}
_TALLY: Final = (
    (Verdict.WORSE, "Worse", "shown, and beyond the threshold"),
    (Verdict.BETTER, "Better", "shown, and beyond the threshold"),
    (Verdict.SAME, "No difference", "surely within the threshold"),
    (Verdict.OPEN, "Not shown", "neither: more utterances or rounds would tell"),
)
_LONG: Final = 12
"""Hex digits shown of a hash or a commit."""


def render(found: Comparison) -> str:
    """The page as text; equal rows give equal bytes."""
    headline = sentences.headline(found)
    finding, bracket, rest = headline.rpartition(" (")
    sides = [circumstances.facts(side) for side in (found.before, found.after)]
    return (
        environment()
        .get_template("compare.html.j2")
        .render(
            **look(),
            script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
            headline=headline,
            finding=finding if bracket and rest.endswith(")") else headline,
            detail=rest.removesuffix(")") if bracket else "",
            before=found.before,
            after=found.after,
            subline=_subline(found),
            tally=[
                {"label": label, "kind": _KINDS[verdict], "count": len(found.of(verdict)), "note": note}
                for verdict, label, note in _TALLY
            ],
            differences=[item.words for item in found.matching.differences],
            notes=found.notes,
            peaks=sentences.peaks(found.told),
            figures=figures(found),
            labelled=any(line.place.label for line in found.lines),
            load=axes.level_title(found.lines[0].place.kind, streams=found.lines[0].place.streams)
            if found.lines
            else "",
            lines=[_row(line) for line in found.lines],
            omitted=_by_reason(found.omitted),
            alone=found.matching.alone,
            invalid=found.invalid,
            facts=_facts(*sides),
            norms=found.norms,
            replicates=draws.REPLICATES,
            threshold=f"{100 * found.threshold:g} %",
        )
    )


def figures(found: Comparison) -> list[Figure]:
    """Times and rates on one scale, shares and WER on the other; each way of streaming has figures of its own."""
    drawn = []
    for manner in dict.fromkeys(line.place.manner for line in found.lines):
        mine = [line for line in found.lines if line.place.manner == manner]
        words, key = (manner.words, f"-{manner.key}") if manner else ("", "")
        for name, what, ratios in (("ratios", "Times and rates", True), ("differences", "Words and failures", False)):
            lines = [line for line in mine if line.effect.metric.is_ratio is ratios]
            title = what if manner or ratios else "Failures"
            drawn += [changes(lines, key=name + key, what=title, manner=words)] if lines else []
    return drawn


def _subline(found: Comparison) -> list[str]:
    matches = len(found.matching.matches)
    levels = len({line.place.level for line in found.lines})
    rounds = sorted({line.rounds for line in found.lines})
    each = ", ".join(f"{before} and {after}" for before, after in rounds)
    paired = "paired" if found.lines and all(line.paired for line in found.lines) else "not paired"
    parts = [
        " and ".join(dict.fromkeys([*found.before.all_of("server"), *found.after.all_of("server")])),
        f"{matches} setting{'' if matches == 1 else 's'} × {levels} load level{'' if levels == 1 else 's'}",
        *([f"rounds: {each}, {paired}"] if rounds else []),
        f"threshold {100 * found.threshold:g} %",
    ]
    for side in (found.before, found.after):
        parts += [f"{side.name}: commit {', '.join(c[:7] for c in side.all_of('git', 'commit')) or 'not stored'}"]
    return parts


def _row(line: Line) -> dict[str, Any]:
    judged, effect = line.judged, line.effect
    metric = effect.metric
    wide = " to ".join(sentences.change(metric, bound) for bound in (judged.all_low, judged.all_high))
    return {
        "verdict": sentences.verdict(line),
        "kind": _KINDS[judged.verdict],
        "order": list(_KINDS).index(judged.verdict),
        "number": metric.title,
        "setting": line.place.label,
        "level": axes.plain(line.place.level),
        "before": f"{sentences.value(metric, effect.before)} {metric.unit}",
        "after": f"{sentences.value(metric, effect.after)} {metric.unit}",
        "before_sort": effect.before,
        "after_sort": effect.after,
        "change": sentences.change(metric, effect.size),
        "change_sort": judged.harm,
        "interval": sentences.interval(line),
        "wide": f"for all numbers at once {wide}; the smallest change that matters: {sentences.band(line)}",
        "p": sentences.probability(judged.adjusted),
        "p_sort": judged.adjusted,
        "p_alone": sentences.probability(judged.p),
        "n": "/".join(dict.fromkeys(str(each) for each in (effect.n_before, effect.n_after))),
        "n_sort": min(effect.n_before, effect.n_after),
        "rounds": f"{line.rounds[0]} and {line.rounds[1]}",
    }


def _by_reason(omitted: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """(reason, all that it holds for), in the order of their first."""
    found: dict[str, list[str]] = {}
    for what, why in omitted:
        found.setdefault(why, []).append(what)
    return list(found.items())


def _facts(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each fact of both sides; packages that differ are named one by one."""
    rows = [_fact(title, before[title], after[title]) for title in before if title not in ("name", "Packages")]
    names = sorted({*before["Packages"], *after["Packages"]})
    pairs = [(name, before["Packages"].get(name, []), after["Packages"].get(name, [])) for name in names]
    apart = [_fact(f"Package {name}", one, other) for name, one, other in pairs if one != other]
    same = ", ".join(f"{name} {' and '.join(one)}" for name, one, other in pairs if one == other)
    return [*rows, *apart, *([_fact("Packages of both", [same], [same])] if same else [])]


def _fact(title: str, before: object, after: object) -> dict[str, Any]:
    words = [_words(title, each) for each in (before, after)]
    return {"title": title[:1].upper() + title[1:], "before": words[0], "after": words[1], "differs": before != after}


def _words(title: str, value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    short = [str(each)[:_LONG] if "sha256" in title or "ommit" in title else str(each) for each in value]
    return (" to " if title == "Measured" else "; ").join(short) or "not stored"
