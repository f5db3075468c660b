"""`down --purge`: what a server leaves on this machine, how large it is, and how it goes.

Removes only folders whose paths it has made itself from a server's name; weights and caches only on a plain yes.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yapbench import catalog, envs, service
from yapbench.catalog import CatalogEntry
from yapbench.errors import ExitCode, UsageError
from yapbench.service import RUN
from yapbench.verbs import environment, fetch, serving

PARTS: Final = ("env", "logs", "weights", "caches")
NEED_YES: Final = ("weights", "caches")
"""What takes long to get again."""


@dataclass(frozen=True)
class Leftover:
    """One folder that a server has left."""

    part: str
    path: Path
    size_bytes: int
    note: str = ""


def down(name: str, words: Sequence[str], *, run: Path = RUN) -> int:
    """The verb `down`. `words`: `--purge` (everything) or `--purge=PARTS`, `--yes`. Raises UsageError for others."""
    own, rest = serving.split(words, switches={"purge", "yes"}, values=set())
    if rest:
        raise UsageError(f"unexpected {rest[0]!r}: yapbench down {name} [--purge[={','.join(PARTS)}]] [--yes]")
    if "purge" not in own:
        return serving.stop(name, run=run)
    purge(name, parse(own["purge"]), yes="yes" in own, run=run)
    return ExitCode.OK


def parse(text: str) -> list[str]:
    """ "env,logs" -> their names in order; "" or "all" are all of them. Raises UsageError for another name."""
    asked = [word.strip() for word in text.split(",") if word.strip()]
    for name in asked:
        if name not in (*PARTS, "all"):
            raise UsageError.unknown("part to purge", name, [*PARTS, "all"])
    return [part for part in PARTS if not asked or part in asked or "all" in asked]


def leftovers(name: str, parts: Sequence[str], *, run: Path = RUN) -> list[Leftover]:
    """What of these parts is on this machine, with its size."""
    entry = catalog.lookup(name)
    places = {
        "env": _environments(entry),
        "logs": [(run / name, "")],
        "weights": [(fetch.hub_model_folder(model), model) for model in fetch.hub_models(entry)],
        "caches": [(compiled_folder(), "of every server")] if _heavy(entry) else [],
    }
    return [Leftover(part, path, size_of(path), note) for part in parts for path, note in places[part] if path.exists()]


def compiled_folder() -> Path:
    """Where servers keep what they have compiled, whichever they are."""
    return Path("~/.cache/yapbench/compiled").expanduser()


def purge(name: str, parts: Sequence[str], *, yes: bool, run: Path = RUN) -> list[Leftover]:
    """Say what goes, stop the server and remove it. Raises UsageError, with all left as it was, where a yes is due."""
    environment.adopt(fetch.HUB_VARIABLES)
    found = leftovers(name, parts, run=run)
    for one in found:
        print(f"{one.part:<8} {one.size_bytes / 1e6:>10.1f} MB  {one.path}{f'  ({one.note})' if one.note else ''}")
    if not found:
        print(f"nothing of {name} to remove ({', '.join(parts)})")
    due = sorted({one.part for one in found if one.part in NEED_YES})
    if due and not yes:
        raise UsageError(f"nothing was removed: {' and '.join(due)} take long to get again; add --yes if they may go")
    service.down(name, run=run)
    for one in found:
        shutil.rmtree(one.path)
    print(f"removed {sum(one.size_bytes for one in found) / 1e6:.1f} MB")
    return found


def size_of(folder: Path) -> int:
    """Bytes of all files below it; what a link points to is counted where it lies."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())


def _heavy(entry: CatalogEntry) -> list[str]:
    """The environments it may run in, but for the harness's own, which is none of its leftovers."""
    return [name for name in envs.names_of(entry) if name != envs.LIGHT]


def _environments(entry: CatalogEntry) -> list[tuple[Path, str]]:
    found = []
    for name in _heavy(entry):
        others = [e.name for e in catalog.CATALOG if e != entry and name in _heavy(e)]
        found.append((envs.environment(name).path, f"also of {', '.join(others)}" if others else ""))
    return found
