"""The settings of a declared grid as they apply here: overrides laid over, what the backend lacks left out, in order.

Knows grids and declarations; starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from yapbench import yaml_text
from yapbench.benchgpu.declared import CHECKOUT, Bench
from yapbench.benchgpu.plan import widest_first, with_anchors
from yapbench.errors import UsageError
from yapbench.sweep import Sweep
from yapbench.trial import Trial, known_parameters

Mode = tuple[tuple[str, Any], ...]
"""What the bare model of a setting is, hashable."""


@dataclass(frozen=True)
class Cell:
    """One setting with all its load levels: one trial."""

    bench: Bench
    notebook: str
    parameters: Mapping[str, Any]
    axes: tuple[str, ...]

    @cached_property
    def trial(self) -> Trial:
        """Raises UsageError for a value that the server refuses."""
        return Trial.from_parameters(self.bench.server, self.notebook, self.parameters)

    @cached_property
    def trial_id(self) -> str:
        return self.trial.trial_id

    @property
    def mode(self) -> Mode:
        return tuple((name, self.parameters[name]) for name in self.bench.mode if name in self.parameters)

    @property
    def is_dear(self) -> bool:
        return any(self.parameters.get(name) for name in self.bench.dear)

    @property
    def batch_sizes(self) -> list[int]:
        """What the bare model is asked for."""
        return sorted({self._sizes[0], self._sizes[-1]}) if self.is_dear else self._sizes

    @property
    def weight(self) -> int:
        """What its cost grows with, beside others of its kind."""
        return len(self._sizes) if self.is_dear else 1

    @cached_property
    def _sizes(self) -> list[int]:
        return sorted({1, *(int(size) for size in str(self.parameters.get(self.bench.batch_sizes, 1)).split(","))})

    @property
    def words(self) -> str:
        """Its values on the axes."""
        named = [f"{name}={self.parameters[name]}" for name in self.axes if name in self.parameters]
        return " ".join(named) or "(one setting)"


def read_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`window_ms=[0, 5]` -> {"window_ms": [0, 5]}: values as in a sweep file; null leaves the parameter out."""
    found = {}
    for word in words:
        name, has_value, value = word.partition("=")
        if not has_value:
            raise UsageError(f"--set {word}: expected name=value, such as window_ms=[0,5]")
        found[name.replace("-", "_")] = yaml_text.parse(value, source=f"--set {word}")
    return found


def shares_of(overrides: Mapping[str, Any], servers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What of `overrides` is for each server: those it knows. Raises UsageError for a name that none of them knows."""
    known = {server: known_parameters(server) for server in servers}
    for name in overrides:
        if not any(name in names for names in known.values()):
            raise UsageError.unknown(f"parameter of {' or '.join(servers)}", name, set().union(*known.values()))
    return {server: {name: overrides[name] for name in overrides if name in names} for server, names in known.items()}


def cells_of(bench: Bench, overrides: Mapping[str, Any]) -> list[Cell]:
    """Every setting once: the anchors, then the grid widest first. Raises UsageError for a name nobody knows."""
    path = CHECKOUT / bench.grid
    raw = yaml_text.parse(yaml_text.read(path), source=path)
    parameters = {**raw["parameters"], **bench.defaults, **overrides}
    has = {bench.backend(str(parameters.get("model", ""))), str(parameters.get("device", "")).split(":")[0]}
    absent = {name for name, owner in bench.only_of.items() if owner not in has}
    absent |= {name for name, value in overrides.items() if value is None}
    kept = {name: value for name, value in parameters.items() if name not in absent}
    asked = absent | overrides.keys()
    blocks = [{name: v for name, v in block.items() if name not in asked} for block in raw.get("grids", [{}])]
    grid = Sweep.from_mapping({**raw, "parameters": kept, "grids": blocks}, name=bench.server)
    anchors = [{name: value for name, value in anchor.items() if name not in absent} for anchor in bench.anchors]
    wanted = [anchor for anchor in anchors if not _contradicts(anchor, overrides)]
    base = {**grid.fixed, "sweep": bench.server}
    sets = with_anchors(
        [{**base, **{name: values[0] for name, values in grid.axes.items()}, **anchor} for anchor in wanted],
        [
            {**each.fixed, "sweep": bench.server, **chosen}
            for each in (grid, *grid.more)
            for chosen in widest_first(each.axes)
        ],
    )
    axes = tuple(dict.fromkeys([*grid.axis_names, *(name for anchor in wanted for name in anchor)]))
    return [Cell(bench, grid.notebook, chosen, axes) for chosen in sets]


def _contradicts(anchor: Mapping[str, Any], overrides: Mapping[str, Any]) -> bool:
    """The command line asks for other values than the anchor's."""
    for name, value in anchor.items():
        asked = overrides.get(name, value)
        if value not in (asked if isinstance(asked, list) else [asked]):
            return True
    return False
