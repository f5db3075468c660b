"""The verb `run`: one setting of one server, through its notebook, with a report of its own.

It is a sweep without axes; only reading flags is added here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from yapbench import sweeping
from yapbench.errors import UsageError
from yapbench.parameters import AUDIO_PARAMETERS, HARNESS_PARAMETERS
from yapbench.sweep import Sweep
from yapbench.trial import known_parameters, notebook_of


def run(server: str, flags: Sequence[str], *, runs_dir: Path) -> int:
    """Measure `server` once; results go to runs/<server>-single. Raises UsageError for an unknown flag."""
    notebook = notebook_of(server)
    if any(flag in ("--help", "-h") for flag in flags):
        print(help_text(server, notebook))
        return 0
    parameters = read_flags(flags, known=known_parameters(server) - {"out_dir", "sweep"})
    name = f"{server}-single"
    grid = Sweep.from_mapping({"notebook": notebook, "server": server, "parameters": parameters}, name=name)
    return sweeping.run(grid, runs_dir=runs_dir, calibrate=True)


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
        found[name] = yaml.safe_load(value)
    return found


def help_text(server: str, notebook: str) -> str:
    """The notebook's parameters, as papermill reads them from its own cell."""
    import papermill

    from yapbench.trial import notebook_path

    rows = papermill.inspect_notebook(str(notebook_path(notebook))).values()
    lines = [f"yapbench run {server} [--name=value ...]   (parameters of notebooks/{notebook}.ipynb)", ""]
    for row in rows:
        if row["name"] not in HARNESS_PARAMETERS or row["name"] in (*AUDIO_PARAMETERS, "url", "slo_ms", "trace"):
            flag = "--" + row["name"].replace("_", "-")
            lines.append(f"  {flag:<18} {row['help']} [default {row['default']}]")
    return "\n".join(lines)
