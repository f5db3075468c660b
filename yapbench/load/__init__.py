"""The load on a server: profiles, and the processes that put it there. What others need of it stands here."""

from yapbench.load.plan import Plan
from yapbench.load.profile import KINDS, Kind, LoadProfile, Point, parse_levels
from yapbench.load.running import LoadFailed, LoadFailure, LoadResult, run

__all__ = [
    "KINDS",
    "Kind",
    "LoadFailed",
    "LoadFailure",
    "LoadProfile",
    "LoadResult",
    "Plan",
    "Point",
    "parse_levels",
    "run",
]
