"""How far a load is, told by its workers and passed on as one: knows their messages, and no process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]
"""See `load.run`."""

_SUMS = ("done", "ok", "failed")


class Progress:
    """Passes on what the workers say, as often as the first of them says something, and what the last one says last."""

    def __init__(
        self, *, workers: int, points: Sequence[tuple[float, int]], tell: Callable[[Message], None] | None
    ) -> None:
        self._points, self._tell = points, tell
        self._latest: list[Message | None] = [None] * workers

    def take(self, worker: int, message: Message) -> None:
        """A worker has said something."""
        self._latest[worker] = message
        everything_done = message["points_done"] == message["points"]
        if self._tell is not None and (worker == 0 or everything_done):
            self._tell(together([one for one in self._latest if one is not None], self._points))


def together(messages: Sequence[Message], points: Sequence[tuple[float, int]]) -> Message:
    """One message for all workers, of the latest point that any of them is in: counts are added up.

    `p50_ms` is the mean of the workers' own, weighted by their answers: near the median, and nothing but a display.
    `points`: (level, repeat) in their order.
    """
    order = {point: number for number, point in enumerate(points)}
    place = [order.get((message["level"], message["repeat"]), -1) for message in messages]
    here = [message for message, at in zip(messages, place, strict=True) if at == max(place)]
    found = {**here[0], **{name: sum(message[name] for message in here) for name in _SUMS}}
    timed = [(message["p50_ms"], message["ok"]) for message in here if message["p50_ms"] is not None]
    found["p50_ms"] = sum(p50 * ok for p50, ok in timed) / sum(ok for _, ok in timed) if timed else None
    found["points_done"] = min(message["points_done"] for message in here)
    return found
