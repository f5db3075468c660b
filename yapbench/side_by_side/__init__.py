"""What notebook 90_compare shows: two sweeps side by side, from their exported files alone.

`begin(globals())` checks the notebook's parameters; each cell then shows one method of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from yapbench.errors import UsageError
from yapbench.export import export
from yapbench.export.reading import Exported, is_export, read
from yapbench.notebook import injected_names
from yapbench.side_by_side.beside import SideBySide
from yapbench.trial import CHECKOUT

PARAMETERS: Final = ("before", "after", "metric", "level", "setting", "out_dir")

__all__ = ["PARAMETERS", "SideBySide", "begin", "located", "opened"]


def begin(namespace: Mapping[str, Any]) -> SideBySide:
    """The two sweeps that a notebook's variables name; `namespace` is the notebook's globals().

    Raises UsageError for a parameter that the notebook does not have.
    """
    for name in injected_names(namespace.get("In", ())):
        if name not in PARAMETERS:
            raise UsageError.unknown("notebook parameter", name, PARAMETERS)
    given = {name: namespace[name] for name in PARAMETERS if namespace.get(name) is not None}
    sides = [located(str(given[name])) for name in ("before", "after")]
    out = Path(given.get("out_dir") or CHECKOUT / "runs" / "side_by_side" / "-".join(side.name for side in sides))
    before, after = opened(*sides, out=out)
    return SideBySide(
        before,
        after,
        folders=sides,
        metrics=[name.strip() for name in str(given.get("metric", "")).split(",") if name.strip()],
        level=given.get("level"),
        setting=given.get("setting", 1),
    )


def located(name: str) -> Path:
    """A folder as it is named from here, or else from the checkout. Raises UsageError where neither is there."""
    for path in (Path(name).expanduser(), CHECKOUT / name):
        if path.is_dir():
            return path
    raise UsageError(f"{name!r} is no folder, neither here nor in the checkout")


def opened(before: Path, after: Path, *, out: Path) -> list[Exported]:
    """Both as exported; a sweep's own folder is exported first, into `out`."""
    found: dict[Path, Exported] = {}
    for side, folder in (("before", before), ("after", after)):
        if folder.resolve() not in found:
            exported = folder if is_export(folder) else out / side
            if exported is not folder:
                export(folder, exported)
            found[folder.resolve()] = read(exported)
    return [found[folder.resolve()] for folder in (before, after)]
