"""The verbs `run` and `capacity`: one setting of one server, through a notebook, with a report of its own.

Each is a sweep without axes; only reading flags is added here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yapbench import catalog, store, sweeping, yaml_text
from yapbench.errors import UsageError
from yapbench.parameters import SERVER
from yapbench.sweep import Sweep
from yapbench.trial import known_parameters, notebook_of

CAPACITY = "80_capacity"
"""The notebook that searches, for any server."""


def run(server: str, flags: Sequence[str], *, runs_dir: Path) -> int:
    """Measure `server` once; results go to runs/<server>-single. Raises UsageError for an unknown flag."""
    notebook = notebook_of(server)
    grid = _grid(server, notebook, flags, name=f"{server}-single", verb="run")
    return 0 if grid is None else sweeping.run(grid, runs_dir=runs_dir, calibrate=True)


def capacity(server: str, flags: Sequence[str], *, runs_dir: Path) -> int:
    """Search for the capacity of `server`; results go to runs/<server>-capacity, the answer to the terminal.

    3: not even the lightest load keeps the target. 5: undecided. Raises UsageError for an unknown flag.
    """
    catalog.lookup(server)
    grid = _grid(server, CAPACITY, flags, name=f"{server}-capacity", verb="capacity")
    if grid is None:
        return 0
    code = sweeping.run(grid, runs_dir=runs_dir, calibrate=True)
    folder = runs_dir.resolve() / grid.name / grid.trials()[0].trial_id
    found = store.read_trial(folder)
    if found.info["status"] == "failed":
        return code
    from yapbench.capacity.results import CapacityResults  # figures: listing flags needs none

    results = CapacityResults(found)
    for sentence in results.sentences():
        print(sentence)
    return results.exit_code


def _grid(server: str, notebook: str, flags: Sequence[str], *, name: str, verb: str) -> Sweep | None:
    """A sweep of one setting; None where help was asked for, and printed."""
    if any(flag in ("--help", "-h") for flag in flags):
        print(help_text(server, notebook, verb))
        if notebook == CAPACITY:
            print(f"  and the settings of {server}: `yapbench serve {server} --help`")
        return None
    parameters = read_flags(flags, known=known_parameters(server) - {"out_dir", "sweep"})
    return Sweep.from_mapping({"notebook": notebook, "server": server, "parameters": parameters}, name=name)


def read_flags(flags: Sequence[str], *, known: set[str]) -> dict[str, Any]:
    """`--window-ms=2` or `--window-ms 2` -> {"window_ms": 2}; values are read as YAML scalars, as in a sweep file."""
    words, found = list(flags), {}
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise UsageError(f"unexpected argument {word!r}: parameters are given as --name=value")
        name, has_value, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if name not in known:
            raise UsageError.unknown("parameter", name, known)
        if not has_value:
            if not words or words[0].startswith("--"):
                raise UsageError(f"--{name} needs a value")
            value = words.pop(0)
        found[name] = yaml_text.parse(value, source=f"--{name}={value}")
    return found


def help_text(server: str, notebook: str, verb: str) -> str:
    """The notebook's parameters, as papermill reads them from its own cell."""
    import papermill

    from yapbench.trial import notebook_path

    rows = papermill.inspect_notebook(str(notebook_path(notebook))).values()
    lines = [f"yapbench {verb} {server} [--name=value ...]   (parameters of notebooks/{notebook}.ipynb)", ""]
    for row in rows:
        if row["name"] not in (SERVER, "sweep", "out_dir"):
            flag = "--" + row["name"].replace("_", "-")
            lines.append(f"  {flag:<18} {row['help']} [default {row['default']}]")
    return "\n".join(lines)
