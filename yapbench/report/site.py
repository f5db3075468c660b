"""The site of published sweeps: what its index says of each in one card, and the index, a section for each server."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from yapbench import catalog, store
from yapbench.captions import Number
from yapbench.errors import CorruptFile
from yapbench.report import capacity
from yapbench.report.build import environment, headline_of, kind_of, look, numbers_of, split_headline
from yapbench.report.gather import Gathered

CARD: Final = "card.json"
"""What the index says of a sweep; its presence makes a folder a published one."""

SEVERAL: Final = "Which server?"
"""Title of the section of sweeps over more than one server."""

_NUMBERS: Final = 3
_WANTED: Final = frozenset({"name", "headline", "date"})
_UNSAID: Final[Mapping[str, Any]] = {
    "question": "",
    "detail": "",
    "numbers": [],
    "badge": "",
    "server": "",
    "points": 0,
    "machine": "",
}
"""What an older card does not say."""


@dataclass(frozen=True)
class Section:
    """A part of the index: a server's name with what it is, and its cards."""

    title: str
    sentence: str
    cards: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def card(gathered: Gathered) -> dict[str, Any]:
    """What the index says of a sweep, fit for JSON."""
    searched = capacity.searched(gathered)
    started = sorted(gathered.all_of("started_at"))
    finding, detail = split_headline(headline_of(gathered, searched))
    grid = gathered.folder / store.GRID
    return {
        "name": gathered.name,
        "question": question(grid.read_text(encoding="utf-8")) if grid.exists() else "",
        "headline": finding,
        "detail": detail,
        "numbers": [asdict(one) for one in _of_value(numbers_of(gathered, searched))],
        "badge": _badge(gathered),
        "server": ", ".join(gathered.all_of("server")),
        "points": len(gathered.points),
        "machine": ", ".join(gathered.all_of("machine", "cpu_model")) or "machine not stored",
        "date": started[-1][:10] if started else "date not stored",
    }


def _badge(gathered: Gathered) -> str:
    if not kind_of(gathered).notes(gathered):
        return ""
    scripted = {entry.name for entry in catalog.CATALOG if entry.scripted}
    return "scripted words, no model" if scripted & set(gathered.all_of("server")) else "a small model stands in"


def question(grid: str) -> str:
    """What a sweep asks: the first question in the comment at the head of its file; empty where there is none."""
    comment = " ".join(line.removeprefix("#").strip() for line in _head(grid))
    found = re.search(r"[^.:?]+\?", comment)
    words = found[0].strip() if found else ""
    return words[:1].upper() + words[1:]


def _head(grid: str) -> Iterable[str]:
    for line in grid.splitlines():
        if not line.startswith("#"):
            return
        yield line


def _of_value(numbers: Sequence[Number]) -> Sequence[Number]:
    return [one for one in numbers if one.value is not None][:_NUMBERS]


def write_index(reports_dir: Path) -> None:
    """The index of all published sweeps. Raises CorruptFile naming a damaged card."""
    cards = [_read(path) for path in sorted(reports_dir.glob(f"*/{CARD}"))]
    cards.sort(key=lambda one: str(one["date"]), reverse=True)
    template = environment().get_template("index.html.j2")
    page = template.render(**look(), sections=sections(cards), count=len(cards), machines=_machines(cards))
    (reports_dir / "index.html").write_text(page, encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    found = store.read_json(path)
    if not isinstance(found, dict) or not found.keys() >= _WANTED:
        raise CorruptFile(path, "not a report's card")
    return {**_UNSAID, **found, "href": f"{path.parent.name}/index.html"}


def _machines(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({str(one["machine"]) for one in cards if one["machine"]})


def sections(cards: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Sweeps over several servers first, then each server's, those without a model last; within them as they came."""
    several = [one for one in cards if "," in str(one["server"])]
    found = [Section(SEVERAL, "The same speech and the same load for each of them.", several)]
    entries = sorted(catalog.CATALOG, key=lambda entry: entry.scripted)
    for entry in entries:
        said = importlib.import_module(entry.module).__doc__ or ""
        found.append(Section(entry.name, said.strip(), [one for one in cards if one["server"] == entry.name]))
    known = {entry.name for entry in entries}
    others = [one for one in cards if one not in several and one["server"] not in known]
    return [section for section in [*found, Section("others", "", others)] if section.cards]
