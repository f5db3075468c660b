"""The limit of open files, which a server inherits: raised as far as this user may."""

from __future__ import annotations

import sys

from yapbench.doctor.machine import NEEDED_FILES

MOST = 1_048_576
"""More than any server here can use. A container may allow a thousand times as many, and then a program that closes
every number it might have inherited takes minutes to start."""


def raise_limit() -> str:
    """Raise it for this process and what it starts, up to MOST; says what it got. A connection is an open file."""
    if sys.platform == "win32":
        return "no limit of open files is known here"
    import resource  # not on Windows

    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    before, hard = (sys.maxsize if n == resource.RLIM_INFINITY else n for n in (soft_limit, hard_limit))
    if before >= min(hard, MOST):
        return f"open files: {'any number' if before == sys.maxsize else before}"
    now = min(hard, MOST)
    resource.setrlimit(resource.RLIMIT_NOFILE, (now, hard_limit))
    few = f", few for many streams: {NEEDED_FILES} are advised" if now < NEEDED_FILES else ""
    return f"open files: {before} -> {now}{few}"
