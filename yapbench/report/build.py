"""Turns a gathered sweep into one offline HTML page: Jinja, inline SVG, inline style, a little script of our own.

Two builds of the same folder give the same bytes: dates are those of the trials. Knows the page; computes no measure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from yapbench import axes, measures, stats, store, traces
from yapbench.captions import Number
from yapbench.figure import DARK, LIGHT
from yapbench.report import capacity, certificate, choose_page, stream_page, turn_page, worst
from yapbench.report.drill import details
from yapbench.report.gather import Gathered, gather, write_summaries
from yapbench.report.page_kind import PageKind
from yapbench.report.rows import asked, facts, failure_row, point_row
from yapbench.store import TrialData
from yapbench.streams import decomposition
from yapbench.validity import Verdict
from yapbench.words import capital

HERE: Final = Path(__file__).parent
PAGE: Final = "report.html"


def build(folder: Path, out: Path | None = None) -> Path:
    """Write the page of a sweep's folder, to `folder`/report.html or to `out`, and each trial's summary.json.

    Raises NothingRan when there is no trial; names unreadable files in the page.
    """
    gathered = gather(folder)
    write_summaries(gathered)
    path = out or folder / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(gathered), encoding="utf-8")
    return path


def any_valid(trials: Sequence[TrialData]) -> bool:
    """Whether at least one point of the trials may be believed."""
    return any(point.valid for trial in trials for point in measures.points(trial, replicates=2))


def kind_of(gathered: Gathered) -> PageKind:
    """What is shown of this sweep."""
    if gathered.choosing:
        return choose_page
    return stream_page if gathered.streams else turn_page


def environment() -> jinja2.Environment:
    """Templates of this folder, escaping everything that is not marked as HTML."""
    loader = jinja2.FileSystemLoader(HERE)
    found = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters["plain"] = axes.plain
    return found


def look() -> dict[str, Any]:
    """What every page needs: style, colours of both themes, the security policy that forbids any request."""
    return {
        "style": Markup((HERE / "style.css").read_text(encoding="utf-8")),
        "light": Markup("".join(f"{name}:{value};" for name, value in LIGHT.items())),
        "dark": Markup("".join(f"{name}:{value};" for name, value in DARK.items())),
        "policy": Markup(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:"
        ),
    }


def render(gathered: Gathered, *, notebook: str = "notebook.ipynb", publishing: bool = False) -> str:
    """The page as text. `notebook`: what each trial's executed notebook is called, beside the page.

    `publishing`: it leaves this machine, and with it only audio that may.
    """
    points, kind = gathered.points, kind_of(gathered)
    page = environment().get_template(choose_page.PAGE if gathered.choosing else "page.html.j2")
    searched = capacity.searched(gathered)
    headline = headline_of(gathered, searched)
    finding, detail = split_headline(headline)
    columns = kind.columns(points)
    return page.render(
        **look(),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        name=gathered.name,
        grid=store.GRID if (gathered.folder / store.GRID).exists() else None,
        headline=headline,
        finding=finding,
        detail=detail,
        subline=_subline(gathered, kind),
        badges=[*kind.badges(gathered), *_badges(gathered)],
        stand_ins=kind.notes(gathered),
        numbers=numbers_of(gathered, searched),
        findings=kind.findings(points),
        figures=kind.figures(gathered),
        thing=kind.THING,
        unlike=kind.FAILED,
        own=kind.OWN,
        method=kind.METHOD,
        **kind.own(gathered),
        notebook=notebook,
        certificates=certificate.certificates(gathered),
        certificate_missing=certificate.missing(gathered),
        axes=[axes.title(name) for name in gathered.axes],
        level=axes.level_title(points[0].kind if points else "closed", streams=gathered.streams),
        columns=[(name, title, kind.MEASURES[name]) for name, title in columns],
        rows=[point_row(point, gathered.axes, columns) for point in points],
        gathered=gathered,
        failed=[failure_row(trial) for trial in gathered.failed],
        details=details(gathered, notebook),
        searched=searched,
        searched_differ=capacity.differ(searched),
        **worst.section(gathered, publishing=publishing),
        untraced=untraced(gathered),
        facts=facts(gathered),
        measures=kind.MEASURES,
        needed=stats.NEEDED,
        replicates=stats.REPLICATES,
        seed=stats.SEED,
        slo=axes.plain(gathered.slo_ms),
        none_seen=f"{100 * stats.upper_bound_of_none(asked(points)):.2g}",
        asked=asked(points),
        unanswered=sum(sum(point.failures.values()) for point in points),
    )


def headline_of(gathered: Gathered, searched: list[capacity.Searched]) -> str:
    """The page's finding: which server to take, the capacity where one was searched for, else what its kind says."""
    if gathered.choosing:
        return gathered.choice.headline
    if searched:
        return capacity.headline(searched)
    return kind_of(gathered).headline(gathered.points, failed=len(gathered.failed))


def untraced(gathered: Gathered) -> list[str]:
    """Of which trials the parts of the time to the final are not shown, why, and how to get them; and what is known to
    be missing in the traces of the others.
    """
    if not gathered.streams:
        return []
    reasons: Counter[str] = Counter()
    gaps: Counter[str] = Counter()
    for trial in gathered.done:
        trace = traces.read(trial)
        why = decomposition.why_not(trial, trace)
        if why:
            reasons[why] += 1
        elif trace.gaps:
            gaps[trace.gaps] += 1
    found = []
    if reasons:
        said = "; ".join(f"{count} of {len(gathered.done)} trials: {why}" for why, count in sorted(reasons.items()))
        how = f" {capital(traces.ASK)}." if traces.UNASKED in reasons else ""
        parts = "client, network, queue, model, sending"
        found.append(f"Where the time to the final goes ({parts}) is not told of {said}.{how}")
    for missing, count in sorted(gaps.items()):
        trials = f"{count} trial{'' if count == 1 else 's'}"
        found.append(f"The trace of {trials} lacks {missing}; streams that it says nothing of have no parts.")
    return found


def split_headline(headline: str) -> tuple[str, str]:
    """(finding, its numbers): they go below it where they stand in one bracket at its end."""
    if not (headline.endswith(")") and headline.count(" (") == 1):
        return headline, ""
    finding, _, detail = headline.partition(" (")
    return finding, detail.removesuffix(")")


def numbers_of(gathered: Gathered, searched: list[capacity.Searched]) -> list[Number]:
    """The page's big numbers: the capacity takes the first place where one was searched for."""
    found = kind_of(gathered).numbers(gathered)
    return [capacity.number_of(searched), *found[1:]] if searched and not gathered.choosing else list(found)


def _subline(gathered: Gathered, kind: PageKind) -> list[str]:
    points = gathered.points
    levels, repeats = {point.level for point in points}, max((point.repeats for point in points), default=0)
    settings = len(gathered.trials)
    parts = [
        " and ".join(gathered.all_of("server")) or "no server",
        f"{settings} setting{'' if settings == 1 else 's'} × {len(levels)} load level{'' if len(levels) == 1 else 's'}"
        f" × {repeats} repeat{'' if repeats == 1 else 's'}",
        *kind.how(gathered),
        f"{len(points)} point{'' if len(points) == 1 else 's'}, "
        f"{len(gathered.failed)} of {len(gathered.trials)} trials failed",
        *gathered.all_of("machine", "cpu_model")[:1],
    ]
    commits = [commit[:7] for commit in gathered.all_of("git", "commit")]
    return [*parts, *([f"commit {', '.join(commits)}"] if commits else [])]


def _badges(gathered: Gathered) -> list[str]:
    verdicts = [point.validity.verdict for point in gathered.points]
    found = []
    for verdict in (Verdict.INVALID, Verdict.DISTURBED):
        count = sum(v is verdict for v in verdicts)
        if count:
            found.append(f"{count} of {len(verdicts)} points {verdict}")
    if gathered.failed:
        found.append(f"{len(gathered.failed)} failed")
    if gathered.unfinished:
        found.append(f"{len(gathered.unfinished)} unfinished")
    if gathered.apart:
        found.append(f"{len(gathered.apart)} of another kind left out")
    if gathered.corrupt:
        found.append(f"{len(gathered.corrupt)} unreadable")
    if "on" in gathered.all_of("git", "dirty"):
        found.append("uncommitted changes")
    return found
