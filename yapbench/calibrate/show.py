"""The certificate on a terminal: a table of bars, then the verdict, its reasons and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from yapbench.certificate import SHARE

_COLOURS: Final = {"goal": "green", "floor": "green", "missed": "red", "disturbed": "yellow", "not measured": "dim"}
_WIDE: Final = 130
_VERDICTS: Final = {"VALID": "green", "DISTURBED": "yellow", "INVALID": "red"}


def table(found: Mapping[str, Any], *, notes: bool = True) -> Table:
    """One line for each bar; equal notes of neighbours are said once. A narrow terminal has no room for `notes`."""
    kind = "quick calibration" if found["quick"] else "calibration"
    shown = Table(title=f"{kind}: {found['machine_class']}", title_justify="left", box=SIMPLE_HEAD)
    for name in ("bar", "what", "value", "floor", "goal", "verdict", *(("n", "note") if notes else ())):
        right = name in ("value", "floor", "goal", "n")
        shown.add_column(name, justify="right" if right else "left", no_wrap=name not in ("what", "note"))
    before = ""
    for bar in found["bars"]:
        colour = _COLOURS[bar["verdict"]]
        shown.add_row(
            bar["bar"],
            escape(bar["what"]),
            f"{number(bar['value'])} {bar['unit']}" if bar["value"] is not None else "-",
            number(bar["floor"]),
            number(bar["goal"]),
            f"[{colour}]{bar['verdict']}[/]",
            *((str(bar["n"] or "-"), "" if bar["note"] == before else escape(bar["note"])) if notes else ()),
        )
        before = bar["note"]
    return shown


def number(value: float | None) -> str:
    """Three digits that count, whole numbers whole, "-" for none."""
    if value is None:
        return "-"
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def show(found: Mapping[str, Any], console: Console) -> None:
    """All of it."""
    console.print(table(found, notes=console.width >= _WIDE))
    target, load = (found["cpus"][who] for who in ("target", "load"))
    runs = f"{found['seconds']:g} s a run; target on CPU {_list(target)}, load process on CPU {_list(load)}"
    console.print(runs)
    for length, most in found["most_streams"].items():
        console.print(f"one load process is trusted with {SHARE * most:.0f} streams of {length} ms frames")
    console.print(f"[{_VERDICTS[found['verdict']]}]{found['verdict']}[/]")
    for reason in found["reasons"]:
        console.print(f"  {escape(reason)}", soft_wrap=True)


def _list(cpus: list[int] | None) -> str:
    return ",".join(map(str, cpus)) if cpus else "any"
