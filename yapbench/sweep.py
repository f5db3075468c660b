"""A sweep: a YAML grid over a notebook's parameters, run trial by trial through papermill, resumable by repeating it.

Knows the grid, the order and what is finished; a trial's work is the notebook's.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yapbench import catalog, store, yaml_text
from yapbench.errors import UsageError
from yapbench.parameters import SEARCH_PARAMETERS, SERVER
from yapbench.trial import Trial, is_for_any_server, known_parameters, notebook_path

KEYS = ("notebook", "server", "parameters", "grids", "exclude", "description", "name")

AROUND_A_PROBE_S = 6.0
"""Load process, connections and warm-up of one probe: a guess."""

LEVEL_AXIS = "concurrency"
"""The one client-side axis: its values are measured one after another in a single run of the server."""


@dataclass(frozen=True)
class Sweep:
    """One or several checked grids. `axes` restart the server between values; `fixed` holds everything else."""

    name: str
    description: str
    notebook: str
    server: str
    """Of this grid; further grids may have servers of their own."""
    fixed: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    exclude: Sequence[Mapping[str, Any]] = ()
    more: Sequence[Sweep] = ()
    """Further grids of the same file: what one model has for an axis another may not have at all."""
    text: str = ""
    """The file as it was read; empty for a grid that was not one."""

    @classmethod
    def load(cls, path: Path) -> Sweep:
        """Read and check a sweep file. Raises UsageError with file, key and nearest known name before anything runs."""
        try:
            text = yaml_text.read(path)
        except FileNotFoundError:
            raise UsageError(f"no sweep file {path}") from None
        raw = yaml_text.parse(text, source=path)
        try:
            return replace(cls.from_mapping(raw, name=path.stem), text=text)
        except UsageError as problem:
            raise UsageError(f"{path}: {problem}") from None

    @classmethod
    def from_mapping(cls, raw: object, *, name: str) -> Sweep:
        """Check a parsed sweep file; `name` is used when the file does not name itself."""
        if not isinstance(raw, dict):
            raise UsageError("expected keys at the top, such as notebook: and parameters:")
        for key in raw:
            if key not in KEYS:
                raise UsageError.unknown("key", str(key), KEYS)
        if "notebook" not in raw:
            raise UsageError("the key 'notebook' is missing")
        notebook = str(raw["notebook"])
        notebook_path(notebook)
        common = raw.get("parameters") or {}
        grids = raw.get("grids", [{}])
        if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) for grid in grids):
            raise UsageError("the key 'grids' must be a list of blocks like parameters:")
        blocks = [{**common, **grid} for grid in grids]
        servers = [_server(raw, block, notebook) for block in blocks]
        for server, block in zip(servers, blocks, strict=True):
            block.pop(SERVER, None)
            _check(block, server=server, notebook=notebook, common=common, servers=servers)
        exclude = raw.get("exclude") or []
        every = {parameter for block in blocks for parameter in block} | ({SERVER} if len(set(servers)) > 1 else set())
        for parameter in (parameter for rule in exclude for parameter in rule):
            if parameter not in every:
                raise UsageError.unknown("parameter in exclude", str(parameter), every)
        first, *more = (
            cls(
                name=str(raw.get("name", name)),
                description=str(raw.get("description", "")),
                notebook=notebook,
                server=server,
                fixed=fixed,
                axes=axes,
                exclude=exclude,
            )
            for server, (fixed, axes) in zip(servers, map(_split, blocks), strict=True)
        )
        return replace(first, more=more)

    @property
    def axis_names(self) -> list[str]:
        """What varies in any of the grids or between them, in the order of the file; of several servers, which have
        hardly a parameter in common, first the server and then what varies among the grids of one.
        """
        grids = (self, *self.more)
        names = dict.fromkeys(name for grid in grids for name in (*grid.fixed, *grid.axes))
        several = len(self.servers) > 1
        left_out = {LEVEL_AXIS, *(SEARCH_PARAMETERS if several else ())}
        groups = [[grid for grid in grids if grid.server == server] for server in self.servers]
        found = [
            name
            for name in names
            if any(name in grid.axes for grid in grids)
            or (name not in left_out and any(len({str(g.fixed.get(name)) for g in group}) > 1 for group in groups))
        ]
        return [SERVER, *found] if several else found

    @property
    def servers(self) -> list[str]:
        """The servers of all grids, each once, in the order of the file."""
        return list(dict.fromkeys(grid.server for grid in (self, *self.more)))

    def parameter_sets(self) -> list[dict[str, Any]]:
        """One set of notebook parameters for each trial, in the file's order, last axis fastest, grid after grid."""
        sets = []
        for values in itertools.product(*self.axes.values()):
            chosen = dict(self.fixed) | dict(zip(self.axes, values, strict=True))
            named = chosen | {SERVER: self.server}
            if not any(all(named.get(key) == value for key, value in rule.items()) for rule in self.exclude):
                sets.append(chosen)
        return [*sets, *(chosen for grid in self.more for chosen in grid.parameter_sets())]

    def trials(self) -> list[Trial]:
        """Every trial of the grids, in the order of `parameter_sets`.

        Raises UsageError for a value that a server or the harness refuses.
        """
        mine = replace(self, more=()).parameter_sets()
        found = [Trial.from_notebook(self.server, self.notebook, chosen | {"sweep": self.name}) for chosen in mine]
        return [*found, *(trial for grid in self.more for trial in grid.trials())]


def _server(raw: Mapping[str, Any], block: Mapping[str, Any], notebook: str) -> str:
    """The server of one block: its own, that of the file, or the one that the notebook is named after.

    Raises UsageError for an unknown one, and for another one than the notebook measures.
    """
    own = notebook.split("_", 1)[-1]
    server = block.get(SERVER, raw.get("server", own))
    if not isinstance(server, str):
        raise UsageError(f"server: {server!r} in a block: one name; each server has a block of its own")
    if server == own and is_for_any_server(notebook):
        raise UsageError(
            f"the key 'server' is missing: {notebook} measures any server, the file or each block names it"
        )
    catalog.lookup(server)
    if server != own and SERVER in block and not is_for_any_server(notebook):
        raise UsageError(f"server: {server} in a block: notebook {notebook} does not measure any server but its own")
    return server


def _check(
    block: Mapping[str, Any], *, server: str, notebook: str, common: Mapping[str, Any], servers: Sequence[str]
) -> None:
    """Raise UsageError for a parameter without values, or that the server does not know, with the nearest name."""
    known = known_parameters(server) - {"out_dir", "sweep"}
    for parameter, value in block.items():
        if parameter not in known:
            others = [other for other in dict.fromkeys(servers) if parameter in known_parameters(other)]
            if parameter in common and others:
                raise UsageError(
                    f"parameter {parameter!r} is for all servers of the file, but {server} has none of that name: "
                    f"it belongs into the block of {' and '.join(others)}"
                )
            of = f"parameter of {server} in {notebook}" if len(set(servers)) > 1 else f"parameter of {notebook}"
            raise UsageError.unknown(of, str(parameter), known)
        if isinstance(value, list) and not value:
            raise UsageError(f"parameter {parameter!r}: an empty list leaves nothing to run")


def _split(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """(fixed, axes) of a block: its lists are axes, but the load levels, which are measured in one run."""
    axes: dict[str, Sequence[Any]] = {
        key: value for key, value in parameters.items() if isinstance(value, list) and key != LEVEL_AXIS
    }
    fixed = {key: value for key, value in parameters.items() if key not in axes}
    if isinstance(fixed.get(LEVEL_AXIS), list):
        fixed[LEVEL_AXIS] = ",".join(str(level) for level in fixed[LEVEL_AXIS])
    return fixed, axes


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a sweep's folder against a second runner; the kernel lets go when the holder dies, however it dies."""
    import fcntl  # not at the top: Windows, where reports must import, has none

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder} is being run by another process; wait for it, or give this sweep a name"
            ) from None
        yield


def seconds_per_request(folder: Path) -> float | None:
    """Median wall seconds per request of the finished trials in a sweep's folder; None where there are none."""
    if not folder.is_dir():
        return None
    spent = [
        trial.info["duration_s"] / len(trial.utterances)
        for trial in store.read_sweep(folder)
        if trial.info["status"] == "done" and len(trial.utterances) and trial.info.get("duration_s")
    ]
    return statistics.median(spent) if spent else None


def planned_requests(trial: Trial) -> int | None:
    """How many requests a trial will make; None when it is bounded by time."""
    profile = trial.profile
    if profile.requests is None:
        return None
    return (profile.requests + profile.warmup) * len(profile.levels) * profile.repeats


def estimate_s(trial: Trial, *, per_request_s: float) -> float:
    """Seconds that a trial will take, from its own durations, its speech, or `per_request_s` of earlier trials."""
    profile, requests = trial.profile, planned_requests(trial)
    if trial.search is not None:
        return trial.search.most_probes * ((profile.duration_s or 0.0) + AROUND_A_PROBE_S)
    if requests is not None and profile.stream and profile.stream.pace:
        each_s = trial.corpus.audio_s / len(trial.corpus) / profile.stream.pace
        at_once = sum(1 / (each_s * level if profile.kind == "poisson" else level) for level in profile.levels)
        return each_s * at_once * requests / len(profile.levels)
    if requests is not None:
        return requests * per_request_s
    return (profile.duration_s or 0.0) * len(profile.levels) * profile.repeats
