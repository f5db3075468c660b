"""A rut: the engine answers loud audio with nothing, step after step, and will go on so (vllm-project/vllm#47614)."""

from __future__ import annotations

from typing import Final

PATIENCE_GROWS: Final = 2
PATIENCE_MAX: Final = 16
"""Music is loud and has no words: each rut in a row is waited for twice as long, up to so many times the first."""


class RutWatch:
    """Of one utterance. Steps are the utterance's, `loud_s` all loud time of the audio that was sent so far."""

    def __init__(self, limit_s: float) -> None:
        """0: never."""
        self._limit_s = limit_s
        self._times = 1
        self._since_s = 0.0
        self._due_step: int | None = None

    def sent(self, step: int, loud_s: float) -> None:
        """Audio up to there is with the engine."""
        if self._limit_s and self._due_step is None and loud_s - self._since_s >= self._limit_s * self._times:
            self._due_step = step

    def heard(self, loud_s: float) -> None:
        """The engine said something."""
        self._since_s, self._due_step, self._times = loud_s, None, 1

    def is_in(self, step: int) -> bool:
        """Whether the answer up to there makes it one."""
        return self._due_step is not None and step >= self._due_step

    def leave(self, loud_s: float) -> None:
        """Another request has been begun."""
        self._since_s, self._due_step = loud_s, None
        self._times = min(self._times * PATIENCE_GROWS, PATIENCE_MAX)
