"""What a notebook's first code cell calls: turns the parameters cell into a Run, refusing names nobody knows.

papermill only logs an unknown `-p` name; here it is an error with the nearest valid name, before anything is launched.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from yapbench.errors import UsageError
from yapbench.runner import Run
from yapbench.trial import known_parameters

INJECTED = "# Parameters"
"""How papermill begins the cell that it injects after the parameters cell."""


def begin(server: str, notebook: str, namespace: Mapping[str, Any]) -> Run:
    """The Run that a notebook's variables describe; `namespace` is the notebook's globals().

    Raises UsageError for an unknown or impossible parameter.
    """
    known = known_parameters(server)
    for name in injected_names(namespace.get("In", ())):
        if name not in known:
            raise UsageError.unknown("notebook parameter", name, known)
    return Run.from_parameters(server, notebook, {name: namespace[name] for name in known if name in namespace})


def injected_names(cells: Iterable[str]) -> list[str]:
    """Names that papermill's injected cell assigns, found in IPython's own history of executed cells."""
    names = []
    for source in cells:
        if source.startswith(INJECTED):
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign):
                    names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names
