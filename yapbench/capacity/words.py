"""A search's answer in sentences, each computed from it. Knows answers; draws nothing."""

from __future__ import annotations

from typing import Final

from yapbench.axes import plain
from yapbench.capacity.answer import Answer, Judged, Verdict
from yapbench.capacity.guards import Guard
from yapbench.capacity.guards import Verdict as GuardVerdict
from yapbench.words import capital, number

SINCE: Final = {
    "eos": "of the end of speech",
    "eos_due": "of when the end message was due",
    "latency": "of when they were asked for",
}
_SHARES: Final = {0.5: "half"}


def target(answer: Answer) -> str:
    """What is kept to: "95 % of the finals within 500 ms of the end of speech"."""
    what = "answers" if answer.since == "latency" else "finals"
    quantile = answer.options.quantile
    share = _SHARES.get(quantile, f"{100 * quantile:g} %")
    return f"{share} of the {what} within {answer.options.slo_ms:g} ms {SINCE[answer.since]}"


def streams(answer: Answer, count: float | int) -> str:
    """ "8 streams", "1 client"."""
    what = "client" if answer.since == "latency" else "stream"
    return f"{plain(float(count))} {what}{'' if count == 1 else 's'}"


def title(answer: Answer) -> str:
    """The answer in one line, strongest words first."""
    if answer.verdict is Verdict.FOUND:
        return f"Capacity: {streams(answer, answer.claimed or 0)} with {target(answer)}"
    if answer.verdict is Verdict.AT_LEAST:
        return f"Capacity: at least {streams(answer, answer.claimed or 0)} with {target(answer)}"
    if answer.verdict is Verdict.BELOW:
        return f"Capacity: fewer than {streams(answer, 1)} with {target(answer)}"
    return f"Capacity undecided: {_why_undecided(answer)}"


def sentences(answer: Answer) -> list[str]:
    """All that is to be said: the answer, where the target is reached, the end of the search, each guard."""
    said = [title(answer), *_estimate(answer), *_end(answer)]
    shown = _of(answer, answer.claimed)
    if shown is not None:
        said += [f"At {streams(answer, shown.streams)}: {guard.text}" for guard in shown.guards if _met(guard)]
        said += [f"Not shown at {streams(answer, shown.streams)}: {guard.text}" for guard in shown.not_shown]
    return [*said, _probes(answer)]


def _met(guard: Guard) -> bool:
    return guard.verdict is GuardVerdict.MET


def _of(answer: Answer, level: int | None) -> Judged | None:
    return next((each for each in answer.levels if each.streams == level), None)


def _estimate(answer: Answer) -> list[str]:
    """Where the fit reaches the target, or that it does not among the levels that were probed."""
    if not answer.levels or not answer.curve.value:
        return []
    limit = _of(answer, answer.misses)
    if limit is not None and limit.broken and answer.holds:
        low, high = answer.low or 0.0, answer.high if answer.high is not None else limit.streams - 1
        miss = f"{_miss(answer, limit.streams)}, {limit.missed}"
        return [f"What ends it are not the times: {miss} ({_range(low, high)})"]
    if answer.estimate is None:
        heaviest = answer.levels[-1].streams
        limit_said = f": {answer.options.most_is}" if heaviest == answer.options.most else ""
        return [] if answer.misses else [f"The target is not reached up to {streams(answer, heaviest)}{limit_said}"]
    least = f"{answer.low:.1f}" if answer.low is not None else f"fewer than {answer.levels[0].streams}"
    most = f"{answer.high:.1f}" if answer.high is not None else f"more than {answer.levels[-1].streams}"
    open_ended = answer.low is None or answer.high is None
    interval = f"95 % interval {least} to {most}" if open_ended else f"95 % interval {least}–{most}"
    return [f"The fit through all probes reaches the target at {_about(answer)} ({interval})"]


def _miss(answer: Answer, count: int) -> str:
    return f"{streams(answer, count)} miss{'es' if count == 1 else ''}"


def _about(answer: Answer) -> str:
    return f"{answer.estimate:.1f} {streams(answer, 2).split()[1]}"


def _range(low: float, high: float) -> str:
    return f"the capacity lies from {plain(float(int(low)))} to {plain(float(int(high)))}"


def _end(answer: Answer) -> list[str]:
    """What is above the claim."""
    limit = _of(answer, answer.misses)
    if answer.blocked and limit is not None:
        return [f"More the load generator could not put on: at {streams(answer, limit.streams)}, {limit.missed}"]
    above = [each for each in answer.levels if each.missed and each.streams > (answer.claimed or 0)]
    if not above:
        return []
    first = above[0]
    between = [
        each.streams
        for each in answer.levels
        if (answer.claimed or 0) < each.streams < first.streams and each.level.kept
    ]
    aside = f"; {_list(between)} in between: neither shown to hold nor to miss" if between and answer.claimed else ""
    return [f"{capital(_miss(answer, first.streams))} it: {first.missed}{aside}"]


def _why_undecided(answer: Answer) -> str:
    if not any(each.level.kept for each in answer.levels):
        thrown = [item for each in answer.levels for item in each.level.thrown]
        if not thrown:
            return "nothing was probed"
        return (
            f"no probe may be believed ({', '.join(thrown[-1].reasons) or 'the load was not what it was meant to be'})"
        )
    best = _of(answer, answer.holds)
    if best is None:
        first = answer.levels[0]
        return f"{streams(answer, first.streams)} may miss the target, {_open(first)}"
    return f"no level was shown to hold; at {streams(answer, best.streams)}, {_open(best)}"


def _open(level: Judged) -> str:
    """The first guard that is in the way of a claim."""
    order = {GuardVerdict.MISSED: 0, GuardVerdict.UNDECIDED: 1, GuardVerdict.MET: 2}
    return min(level.guards, key=lambda guard: order[guard.verdict]).text


def _probes(answer: Answer) -> str:
    """How many probes there were, and whether they were all that was allowed."""
    made, thrown = len(answer.tried), sum(not each.valid for each in answer.tried)
    aside = f", {number(thrown)} of them thrown away" if thrown else ""
    spent = ", all that were allowed" if made >= answer.options.most_probes else ""
    return f"{capital(number(made))} probe{'' if made == 1 else 's'}{spent}{aside}"


def _list(levels: list[int]) -> str:
    return " and ".join(filter(None, (", ".join(map(str, levels[:-1])), str(levels[-1]))))
