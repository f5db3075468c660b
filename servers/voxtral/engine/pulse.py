"""When the engine was last heard of, and whether somebody has a reason to doubt that it lives."""

from __future__ import annotations

import asyncio
import time


class Pulse:
    """One for each engine. Every request feels it, the watch reads it."""

    def __init__(self) -> None:
        self.heard_s = time.monotonic()
        self.doubt = asyncio.Event()
        """Set: look now, not at the next round."""

    def heard(self) -> None:
        """A step of some request came: not just a greeting, which an engine that is stuck has too."""
        self.heard_s = time.monotonic()
