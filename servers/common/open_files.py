"""How many files and sockets this process may have open: as many as its connections can need, where that is allowed."""

from __future__ import annotations

import importlib
import logging
from typing import Final

_log = logging.getLogger("servers.serve")
EACH: Final = 2
"""A connection, and what is opened for it: an upload's file, a request to an engine."""
BESIDE: Final = 256


def allow(connections: int) -> None:
    """Raises the soft limit, never beyond the hard one; says so in the log where that is too little."""
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # not on Windows
        return
    wanted = EACH * connections + BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    if raised < wanted:
        facts = {"open_files": raised, "wanted": wanted, "connection_limit": connections}
        _log.warning("fewer files may be open than --connection-limit can need", extra={"facts": facts})
