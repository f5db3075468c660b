"""The command line: `app`, and its verbs in two modules. Every verb forwards to one module; nothing is decided here."""

from yapbench.cli import measuring, servers
from yapbench.cli.application import app

__all__ = ["app", "measuring", "servers"]
