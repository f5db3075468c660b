"""The application that verbs are registered on, and what they share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="yapbench",
    help="Sweep the settings of real speech servers and publish latency, accuracy and memory reports.",
    version="0.1.0",
)

Flags = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""Passed on as they are: a server's flags are the server's, a notebook's the notebook's."""
