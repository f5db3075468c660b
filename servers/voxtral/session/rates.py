"""How often: an exact sliding window, and refusals that are told at once but not each. Pure: stamps come in."""

from __future__ import annotations

from collections import deque
from typing import Final

from servers.voxtral.faults import WireFault

TOGETHER_S: Final = 1.0


class Window:
    """At most `limit` admissions within any `window_s`; 0: any number. Holds at most `limit` stamps."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self.window_s = limit, window_s
        self._admitted_s: deque[float] = deque()

    def admit(self, at_s: float) -> bool:
        """Whether one more may pass now; one that may not does not count."""
        if not self.limit:
            return True
        admitted_s = self._admitted_s
        while admitted_s and admitted_s[0] <= at_s - self.window_s:
            admitted_s.popleft()
        if len(admitted_s) >= self.limit:
            return False
        admitted_s.append(at_s)
        return True

    def wait_s(self, at_s: float) -> float:
        """From `at_s` until one may pass again."""
        if not self.limit or len(self._admitted_s) < self.limit:
            return 0.0
        return max(0.0, self._admitted_s[0] + self.window_s - at_s)


class Tally:
    """Things of one kind that may come in floods: the first is told at once, the rest of its second together."""

    def __init__(self) -> None:
        self._told_s = float("-inf")
        self.untold = 0.0

    def add(self, amount: float, at_s: float) -> float:
        """How much is to be told now: all that is untold, or 0 until `rest` is due."""
        self.untold += amount
        return self.rest(at_s) if at_s - self._told_s >= TOGETHER_S else 0.0

    def rest(self, at_s: float) -> float:
        """All that is untold; it is told with that."""
        amount, self.untold = self.untold, 0.0
        if amount:
            self._told_s = at_s
        return amount

    def due_s(self, at_s: float) -> float:
        """From `at_s` until `rest` is due."""
        return max(0.0, self._told_s + TOGETHER_S - at_s)


def too_often(reason_code: str, what: str, window: Window, at_s: float) -> WireFault:
    """`what` came too often for this window; the client is told when one may come again."""
    limit, window_s, retry_s = window.limit, window.window_s, round(window.wait_s(at_s), 3)
    return WireFault(
        "rate_limited",
        reason_code,
        f"more than {limit} {what} in {window_s:g} s; this one is not taken",
        limit=limit,
        window_s=window_s,
        retry_after_s=retry_s,
    )
