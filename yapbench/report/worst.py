"""The page's section of the worst utterances: their words, where and how they came out, and how they sound.

Knows the page; what is worst is streams/worst.py's.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from yapbench import axes
from yapbench.obtained import SMALL_WORLDS, model_name
from yapbench.plots.lines import where
from yapbench.report.clips import Clip, Wanted, clips
from yapbench.report.gather import Gathered
from yapbench.streams import worst
from yapbench.streams.captions import SCRIPTED
from yapbench.streams.differences import marked
from yapbench.streams.worst import Shown, Worst
from yapbench.words import capital, ms

_SINCE: Final = {"eos": "after the end of speech", "eos_due": "after the end message was due"}


@dataclass(frozen=True)
class Item:
    """One utterance on the page; `text` is HTML, everything else plain."""

    why: str
    look: str
    """The class of its badge."""
    utterance_id: str
    where: str
    trial_id: str
    text: Markup
    facts: list[str]
    clip: Clip


def section(gathered: Gathered, *, publishing: bool) -> dict[str, Any]:
    """For worst.html.j2: `worst` (empty where no stream counts) and `worst_said`."""
    if not gathered.streams:
        return {"worst": [], "worst_said": ""}
    found = worst.find(gathered.done, gathered.points)
    wanted = [Wanted(one.of.trial.info, one.of.utterance_id, end=one.why == "late") for one in found.shown]
    heard = clips(wanted, publishing=publishing)
    items = [_item(one, gathered, clip) for one, clip in zip(found.shown, heard, strict=True)]
    return {"worst": items, "worst_said": _said(found, gathered)}


def _item(one: Shown, gathered: Gathered, clip: Clip) -> Item:
    candidate = one.of
    setting = f"{axes.label(candidate.point.setting, gathered.axes)} · " if gathered.axes else ""
    if one.why == "words":
        why, look = f"{candidate.errors} of {_words(candidate)} words wrong", "disturbed"
    elif one.why == "late":
        why, look = f"{ms(one.taken_ms or 0.0)} ms {_SINCE[one.since]}", "disturbed"
    else:
        why, look = candidate.stream.outcome.replace("_", " "), "invalid"
    return Item(
        why=why,
        look=look,
        utterance_id=candidate.utterance_id,
        where=f"{setting}{where(candidate.point)}",
        trial_id=candidate.point.trial_id,
        text=_text(one),
        facts=_facts(one),
        clip=clip,
    )


def _words(candidate: worst.Candidate) -> int:
    return candidate.score.words.errors.reference if candidate.score else 0


def _text(one: Shown) -> Markup:
    """The differences; without a score what was said and what was heard, each by itself."""
    candidate = one.of
    if candidate.score:
        return Markup(marked(candidate.score.words))
    said, heard = candidate.stream.reference, candidate.heard
    parts = [f"<span>said</span> {html.escape(said)}"] if said else []
    until = " until then" if not candidate.stream.ok else ""
    parts.append(f"<span>heard{until}</span> {html.escape(heard) if heard else 'nothing'}")
    return Markup("<br>".join(parts))


def _facts(one: Shown) -> list[str]:
    candidate, facts = one.of, []
    if candidate.score:
        errors = candidate.score.words.errors
        kinds = {"substituted": errors.substitutions, "left out": errors.deletions, "added": errors.insertions}
        facts.append(", ".join(f"{count} {kind}" for kind, count in kinds.items() if count) or "no word wrong")
    if one.scored > 1:
        facts.append(f"wrong in {one.wrong} of {one.scored} scored streams of this utterance")
    if one.why != "late" and one.taken_ms is not None:
        late = ", one of the latest" if one.is_late else ""
        facts.append(f"final {ms(one.taken_ms)} ms {_SINCE[one.since]}{late}")
    if candidate.point.repeats > 1:
        facts.append(f"repeat {candidate.repeat + 1} of {candidate.point.repeats}")
    return [*facts, candidate.error] if candidate.error else facts


def _said(found: Worst, gathered: Gathered) -> str:
    """What was chosen from what."""
    if not found.shown:
        return ""
    parts = []
    if found.scored:
        parts.append(
            f"{found.wrong} of {found.scored} streams that ended well have a word error, in {found.utterances_wrong} "
            f"of {found.utterances} utterances"
            if found.wrong
            else f"no word is wrong in {found.scored} streams that ended well"
        )
    count = {why: sum(one.why == why for one in found.shown) for why in ("words", "late", "failed")}
    kinds = [
        *(["those with the most word errors, each in its worst showing"] if count["words"] else []),
        *(["the latest finals"] if count["late"] else []),
        *([f"{count['failed']} of {found.failed} that failed"] if count["failed"] else []),
    ]
    shown = f"shown: {', then '.join(kinds)}"
    models = {model_name(trial.info) for trial in gathered.trials}
    but = [
        *(["the model knows a small world and stands in for a real one"] if models & SMALL_WORLDS else []),
        *(
            ["the words are scripted, the audio is what was sent"]
            if SCRIPTED.keys() & gathered.all_of("server")
            else []
        ),
        *(["points that are INVALID take no part"] if any(not point.valid for point in gathered.points) else []),
    ]
    return f"{capital('; '.join([*parts, shown, *but]))}. Struck out: what was said; underlined: what was heard."
