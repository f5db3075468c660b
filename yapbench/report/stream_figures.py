"""The figures of a page of streams in their order: the verdict, the trades, the detail, the client's proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from yapbench import axes, plots, traces
from yapbench.captions import resources as resources_caption
from yapbench.figure import Figure
from yapbench.measures import Point
from yapbench.plots.lines import highlighted
from yapbench.report.gather import Gathered
from yapbench.store import TrialData
from yapbench.streams import captions, cost, decomposition, ramp, word_rates, work
from yapbench.streams.captions import SCRIPTED, Manner
from yapbench.streams.findings import NOT_COMPARED
from yapbench.words import capital


def figures(gathered: Gathered) -> list[Figure]:
    """The verdict first: times and words against the load; what is traded for what; then all of it in detail.

    Times of each policy and pace stand apart; the trial that tells most and the client's own proof come last.
    """
    verdicts: list[Figure] = []
    trades: list[Figure] = []
    details: list[Figure] = []
    for manner, mine in captions.manners(gathered.points).items():
        told = _of_manner(gathered, manner, mine)
        verdicts += told[0]
        trades += told[1]
        details += told[2]
    found = [*verdicts, *trades, *details, plots.failures_by_type(gathered.points)]
    shown = _telling(gathered)
    if shown is not None:
        points = [p for p in gathered.points if p.trial_id == shown.info["trial_id"]]
        words = axes.label(gathered.setting(shown), gathered.axes) if gathered.axes else ""
        title = resources_caption(points)
        found.append(plots.resources_over_time(shown, title=f"{title} ({words})" if words else title))
        found.append(plots.session_timeline(shown, named=_named(shown, gathered)))
    return [*found, plots.frame_lateness(gathered.points)]


def _of_manner(
    gathered: Gathered, manner: Manner, points: Sequence[Point]
) -> tuple[list[Figure], list[Figure], list[Figure]]:
    """Verdicts, trades and details of one policy and pace."""
    mine = {point.trial_id for point in points}
    trials = [trial for trial in gathered.done if trial.info["trial_id"] in mine]
    planted = f"{capital(scripted(gathered))}." if scripted(gathered) else ""
    scored = any(point["wer"].value is not None for point in points)
    words = _warned([plots.wer_by_level(points, word_rates.changes(trials, points))], planted) if scored else []
    errors = _warned([plots.word_errors(points)], planted) if scored else []
    flicker = [one for one in [plots.flicker_by_level(points)] if one is not None]
    spent = [plots.costs_by_level(points)] if ramp.is_ramp(points) else []
    if not manner.pace:
        answers = [plots.answers_by_level(points)] if manner.eos == "file" else []
        return [*answers, plots.rtfx_by_level(points), *words], [], [*errors, *flicker, *spent]
    slo_ms, since, currency = (
        gathered.slo_ms,
        captions.felt(points),
        cost.currency_of([trial.info for trial in gathered.done]),
    )
    apart = work.unequal(points)
    warning = apart.note if apart else ""
    timed = [plots.eos_by_level(points, eos=manner.eos, slo_ms=slo_ms), plots.ttfp_by_level(points, eos=manner.eos)]
    live = manner.pace == 1
    trades = [
        plots.pareto_front(points, slo_ms=slo_ms, currency=currency, warning=warning) if live else None,
        plots.times_by_delay(points, eos=manner.eos, slo_ms=slo_ms),
        plots.look_ahead_trade(points, eos=manner.eos, slo_ms=slo_ms),
        plots.cost_by_level(points, currency=currency, slo_ms=slo_ms) if live and currency else None,
    ]
    lines = highlighted(points, by=f"{since}_p50_ms") if len(trials) > 1 else ()
    spread = plots.ecdf(trials, eos=manner.eos, measure=since, slo_ms=slo_ms, lines=lines)
    emitted = any(point["emission_p50_ms"].value is not None for point in points)
    seen = [plots.emission_by_setting(points)] if emitted else []
    if emitted and len({point.level for point in points}) > 1:
        seen.insert(0, plots.emission_by_level(points))
    parts = _parts(trials, points)
    soaks = [trial for trial in trials if _kind(trial) == "soak"][: plots.MOST_SOAKS]
    long = [plots.latency_over_time(trial, measure=since, named=_named(trial, gathered)) for trial in soaks]
    energy = [one for one in [plots.energy_by_level(points)] if one is not None]
    return (
        [*_warned(timed, warning), *words],
        [figure for figure in trades if figure is not None],
        [*_warned([spread], warning), *parts, *errors, *_warned(seen, warning), *flicker, *long, *spent, *energy],
    )


def _parts(trials: Sequence[TrialData], points: Sequence[Point]) -> list[Figure]:
    """What the time to the final is made of, of the trials that left traces."""
    levels = [level for trial in trials for level in decomposition.of_trial(trial, points, traces.read(trial))]
    return [plots.parts_of_final(levels)] if levels else []


def _warned(found: Sequence[Figure], warning: str) -> list[Figure]:
    """The figures with the warning behind their notes."""
    return [replace(figure, note=f"{figure.note} {warning}".strip()) for figure in found]


def _named(trial: TrialData, gathered: Gathered) -> str:
    """What a trial is called beside its policy and pace."""
    names = [name for name in gathered.axes if name not in NOT_COMPARED]
    return axes.label(gathered.setting(trial), names) if names else ""


def _kind(trial: TrialData) -> str:
    return str((trial.info.get("load") or {}).get("kind", ""))


def _telling(gathered: Gathered) -> TrialData | None:
    """The trial with the largest share of failures; without any, the one whose heaviest load answers soonest."""

    def share(point: Point) -> float:
        return sum(point.failures.values()) / point.n if point.n else 0.0

    points = [p for p in gathered.points if p.n]
    if not points:
        return None
    worst = max(points, key=lambda p: (share(p), p.trial_id))
    first = next(iter(captions.manners(points).values()))
    heaviest = [p for p in first if p.level == max(p.level for p in first)]
    soonest = min(heaviest, key=lambda p: (p["eos_p50_ms"].value or float("inf"), p.trial_id))
    chosen = worst if share(worst) else soonest
    return next((trial for trial in gathered.done if trial.info["trial_id"] == chosen.trial_id), None)


def server_of(gathered: Gathered) -> str:
    """What runs, by its own word, else by the trial's."""
    obtained = gathered.info.get("obtained") or {}
    return str(obtained.get("server") or gathered.info.get("server") or "")


def scripted(gathered: Gathered) -> str:
    """What must be said of a server whose words are scripted; "" of others."""
    return SCRIPTED.get(server_of(gathered), "")
