"""A comparison on a terminal: the verdict first, then the numbers, worst first, then what was not compared."""

from __future__ import annotations

from collections import Counter
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from yapbench.compare import sentences
from yapbench.compare.comparison import Comparison, Line
from yapbench.compare.family import Verdict

MOST_OTHERS: Final = 12
"""Numbers without a difference that are listed; the page has them all."""
_COLOURS: Final = {Verdict.WORSE: "red", Verdict.BETTER: "green", Verdict.SAME: "dim", Verdict.OPEN: "yellow"}


def show(found: Comparison, console: Console) -> None:
    """All of it."""
    grave = "red" if found.of(Verdict.WORSE) or not found.lines else "green" if found.of(Verdict.BETTER) else "bold"
    console.print(f"[{grave}]{escape(sentences.headline(found))}[/]", soft_wrap=True)
    console.print(
        f"{escape(found.before.name)} → {escape(found.after.name)}: {sentences.counts(found.lines) or 'nothing'}"
    )
    for item in found.matching.differences:
        console.print(f"  {escape(item.words)}", soft_wrap=True)
    for note in found.notes:
        console.print(f"  {escape(note)}", soft_wrap=True)
    if found.lines:
        console.print(_table(found))
    for told in sentences.peaks(found.told):
        console.print(f"{escape(told)}; not judged", soft_wrap=True)
    for where, why in found.invalid:
        console.print(f"INVALID, left out: {escape(where)}: {escape(why)}", soft_wrap=True)
    for what, why in found.matching.alone:
        console.print(
            f"not compared: {escape(what)}: {escape(why)}" if what else f"not compared: {escape(why)}", soft_wrap=True
        )
    for why, count in Counter(why for _, why in found.omitted).items():
        first = next(what for what, reason in found.omitted if reason == why)
        more = f" and {count - 1} more" if count > 1 else ""
        console.print(f"not compared: {escape(first)}{more}: {escape(why)}", soft_wrap=True)


def _table(found: Comparison) -> Table:
    shown = Table(box=SIMPLE_HEAD)
    for name in ("verdict", "number", "where", "before", "after", "change", "95 % interval", "p (Holm)"):
        right = name in ("before", "after", "change", "95 % interval", "p (Holm)")
        shown.add_column(name, justify="right" if right else "left", no_wrap=name not in ("number", "where"))
    changed = [*found.of(Verdict.WORSE), *found.of(Verdict.BETTER)]
    others = found.lines[len(changed) :]
    for line in (*changed, *others[:MOST_OTHERS]):
        shown.add_row(*_cells(line))
    if len(others) > MOST_OTHERS:
        shown.caption = f"and {len(others) - MOST_OTHERS} more without a difference that could be shown"
    return shown


def _cells(line: Line) -> list[str]:
    effect = line.effect
    colour = _COLOURS[line.judged.verdict]
    return [
        f"[{colour}]{sentences.verdict(line)}[/]",
        escape(effect.metric.title),
        escape(line.place.words),
        *(f"{sentences.value(effect.metric, each)} {effect.metric.unit}" for each in (effect.before, effect.after)),
        sentences.change(effect.metric, effect.size),
        sentences.interval(line),
        sentences.probability(line.judged.adjusted),
    ]
