"""Two sweeps beside each other as tables for a notebook: where each comes from, what differs, and their numbers."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from yapbench import axes
from yapbench.export.reading import Exported
from yapbench.markup import Markup
from yapbench.results import table
from yapbench.side_by_side.pairs import Difference
from yapbench.side_by_side.ratios import Cell, interval, number, said
from yapbench.stats import Estimate
from yapbench.words import at

MOST_ROWS: Final = 60

_FACTS: Final = {
    "Server": "server",
    "Processor": "cpu_model",
    "Cores": "cores",
    "GPUs": "gpus",
    "System": "os",
    "Commit": "commit",
    "Uncommitted changes": "uncommitted_changes",
    "Server code": "code_sha256",
    "Model": "model_id",
    "Model revision": "model_revision",
    "Weights": "model_sha256",
    "Corpus": "corpus",
    "Corpus hash": "corpus_sha256",
    "Load": "load",
    "Utterances a level": "load_requests",
    "Seconds a level": "load_duration_s",
    "Latency target, ms": "slo_ms",
    "yapbench": "yapbench_version",
    "Python": "python_version",
    "Python of the server": "server_python_version",
    "Method version": "method_version",
}
_PACKAGES: Final = {"Packages": "versions", "Packages of the server": "server_packages"}
_UNKNOWN: Final = "–"
_FAINT: Final = "<span style='opacity:.55' title='{}'>{}</span>"


def facts(before: Exported, after: Exported) -> Markup:
    """Where both come from, one line each, the differing ones marked; of packages those that differ."""
    rows = [
        ("Sweep", before.sweep, after.sweep),
        ("Trials", _fates(before), _fates(after)),
        ("Measured", _spanned(before), _spanned(after)),
        *((title, _all(before, column), _all(after, column)) for title, column in _FACTS.items()),
        *((title, *_packages(before, after, column)) for title, column in _PACKAGES.items()),
    ]
    marked = [
        [title, *map(html.escape, (one, other)), "" if one == other else "<b>differs</b>"]
        for title, one, other in rows
        if (one, other) != (_UNKNOWN, _UNKNOWN)
    ]
    return table(["", "before", "after", ""], marked)


def differing(before: Exported, after: Exported, *columns: str) -> list[str]:
    """Those of `columns` of the trials that have other values after than before."""
    return [column for column in columns if _all(before, column) != _all(after, column)]


def differences(found: Sequence[Difference]) -> Markup:
    """The settings that have other values after than before."""
    if not found:
        return Markup("<p>Every setting has the same values in both.</p>")
    rows = [[html.escape(axes.title(one.name)), html.escape(one.before), html.escape(one.after)] for one in found]
    return table(["setting", "before", "after"], rows)


def numbers(found: Sequence[Cell], *, meaning: str, unit: str) -> Markup:
    """One metric: every point of both, with intervals and the ratio."""
    head = f"<h4>{html.escape(said(found))}</h4><p>{html.escape(meaning)}{'' if unit == '1' else f', {unit}'}</p>"
    rows = [
        [
            html.escape(cell.pair.name),
            _unbroken(html.escape(at([cell.before], cell.before.level))),
            _value(cell.values[0], valid=cell.before.valid, reasons=cell.before.validity.reasons),
            _value(cell.values[1], valid=cell.after.valid, reasons=cell.after.validity.reasons),
            _ratio(cell),
        ]
        for cell in found[:MOST_ROWS]
    ]
    more = len(found) - len(rows)
    left = f"<p>{more} more points are not shown here; points.csv has them all.</p>" if more else ""
    shown = table(["setting", "load", "before", "after", "after / before"], rows).markup if rows else ""
    return Markup(head + shown + left)


def _value(value: Estimate, *, valid: bool, reasons: Iterable[str]) -> str:
    if value.value is None:
        return _FAINT.format(html.escape(value.reason or "not known"), "–")
    text = _unbroken(f"{number(value.value)} <small>{interval(value) or 'no interval'}, n {value.n}</small>")
    if not valid:
        return _FAINT.format(html.escape("; ".join(reasons)), f"{text} <small>invalid</small>")
    return (
        _FAINT.format("too few samples for this tail", f"{text} <small>indicative</small>")
        if value.indicative
        else text
    )


def _ratio(cell: Cell) -> str:
    if cell.ratio is None:
        return f"– <small>{html.escape(cell.reason)}</small>"
    return f"{number(cell.ratio)} ×"


def _unbroken(markup: str) -> str:
    return f"<span style='white-space:nowrap'>{markup}</span>"


def _all(exported: Exported, column: str) -> str:
    """The distinct values of the trials that could be read."""
    kept = [row[column] for row in exported.trials if row["trial_id"] and row[column] not in (None, "")]
    return "; ".join(dict.fromkeys(_word(column, value) for value in kept)) or _UNKNOWN


def _word(column: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    is_hash = column == "commit" or column.endswith("sha256")
    return axes.plain(value)[: 12 if is_hash else None]


def _fates(exported: Exported) -> str:
    counts: dict[str, int] = {}
    for row in exported.trials:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _spanned(exported: Exported) -> str:
    found = sorted(row["started_at"] for row in exported.trials if row["started_at"])
    return _UNKNOWN if not found else found[0] if found[0] == found[-1] else f"{found[0]} to {found[-1]}"


def _packages(before: Exported, after: Exported, column: str) -> tuple[str, str]:
    sides = [_versions(side.trials, column) for side in (before, after)]
    names = sorted({name for side in sides for name in side})
    other = [name for name in names if sides[0].get(name) != sides[1].get(name)]
    if not other:
        return ("all the same",) * 2
    one, two = (", ".join(f"{name} {side.get(name, 'none')}" for name in other) for side in sides)
    return one, two


def _versions(rows: Iterable[Mapping[str, Any]], column: str) -> dict[str, str]:
    """Versions by package; of several all of them."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for item in filter(None, (row[column] or "").split(", ")):
            name, _, version = item.partition(" ")
            found.setdefault(name, {})[version] = None
    return {name: "/".join(versions) for name, versions in found.items()}
