"""One request as a part of an utterance: where in its audio it began, what it was given, what it answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

from servers.voxtral.interfaces import Request
from servers.voxtral.settings import STEP_BYTES, STEP_S

LOOK_AHEAD_BYTES: Final = 80
"""A step needs 2.5 ms more than its own 80 ms (tekken.json, look-ahead)."""

Kind = Literal["pause", "length", "truncation", "rut"]
"""Why an utterance goes on in another request."""


class Segment:
    """Places are bytes from the utterance's beginning, steps 80 ms of it; `first_step` is where this one begins."""

    def __init__(
        self,
        request: Request,
        *,
        first_step: int,
        delay_steps: int,
        again: deque[bytes] | None = None,
        after: Kind | None = None,
        holds_seat: bool = False,
    ) -> None:
        """`again`: what it has to hear before new audio. `after`: why it follows another one."""
        self.request, self.first_step, self.after, self.holds_seat = request, first_step, after, holds_seat
        self.again = again if again is not None else deque()
        self._again_bytes = sum(map(len, self.again))
        self._delay_steps = delay_steps
        self.sent_bytes = 0
        self.answered_steps = 0
        self.is_finished = False
        self.full_steps: int | None = None
        """Set where a word may be cut off at the end: the steps up to here were answered with all they needed."""
        self.end_step: int | None = None
        """The last step of its audio, if another request goes on from there."""
        self.over = asyncio.Event()
        """Done came."""

    @property
    def sent_s(self) -> float:
        """Audio it was given."""
        return self.sent_bytes / STEP_BYTES * STEP_S

    @property
    def new_s(self) -> float:
        """The part of it that none before it heard."""
        return (self.sent_bytes - self._again_bytes) / STEP_BYTES * STEP_S

    @property
    def step(self) -> int:
        """The utterance's step that was answered last."""
        return self.first_step + self.answered_steps

    @property
    def owed_steps(self) -> int:
        """Steps that it has all it needs for and did not answer; what a finish brings is not counted."""
        ready = (self.sent_bytes - LOOK_AHEAD_BYTES) // STEP_BYTES - self._delay_steps
        return max(0, ready - self.answered_steps)

    @property
    def owed_s(self) -> float:
        """The same in seconds."""
        return self.owed_steps * STEP_S

    def room_bytes(self, lag_max_s: float) -> int:
        """What it may be given now so that no more than `lag_max_s` is unanswered."""
        answered = (self.answered_steps + self._delay_steps) * STEP_BYTES
        return answered + round(lag_max_s / STEP_S) * STEP_BYTES - self.sent_bytes

    def leave(self, *, within_a_word: bool) -> None:
        """It hears no more, another one does: what the engine says of a word that was cut off counts for nothing."""
        self.end_step = self.first_step - (-self.sent_bytes // STEP_BYTES)
        if within_a_word:
            self.full_steps = max(0, self.sent_bytes // STEP_BYTES - self._delay_steps)

    def is_answered(self, usage: Mapping[str, Any]) -> bool:
        """Whether a Done came for all of the audio, not for a part of it; by the engine's count where it has one."""
        counted = usage.get("completion_tokens")
        steps = max(self.answered_steps, counted if isinstance(counted, int) else 0)
        return self.is_finished and steps + 1 >= self.sent_bytes // STEP_BYTES
