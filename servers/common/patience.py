"""Waits until nothing has happened for a while; one timer, not moved at each event. Lives on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

SECOND_LOOK_S: Final = 0.005
"""A loop that stood still runs its timers before it reads what came meanwhile: it gets a chance to."""


class Patience:
    """Calls `lost` once, `limit_s` after the last touch; the next touch begins anew. Limit 0: never."""

    def __init__(self, limit_s: float, lost: Callable[[], None]) -> None:
        self._limit_s, self._lost = limit_s, lost
        self._touched_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_held = self._looked_twice = False

    def touch(self) -> None:
        """Something has happened."""
        self._touched_s = time.monotonic()
        if self._timer is None and self._limit_s:
            self._arm(self._limit_s)

    def hold(self) -> None:
        """Until `resume`, waiting is not the client's fault and does not count."""
        self._is_held = True

    def resume(self) -> None:
        """Waiting counts from now on, if it did before."""
        self._is_held = False
        if self._timer is not None:
            self.touch()

    def stop(self) -> None:
        """Not waiting any more; a touch begins anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, wait_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._fire)

    def _fire(self) -> None:
        left_s = self._limit_s if self._is_held else self._touched_s + self._limit_s - time.monotonic()
        if left_s > 0:
            self._looked_twice = False
            self._arm(left_s)
        elif not self._looked_twice:
            self._looked_twice = True
            self._arm(SECOND_LOOK_S)
        else:
            self._timer, self._looked_twice = None, False
            self._lost()
