"""What the Kyutai server asks of its model beyond a StreamingRecognizer, and what a step of it brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from servers.common.interfaces import StreamingRecognizer


@dataclass(frozen=True, slots=True)
class Heard:
    """What one frame of 80 ms brought one stream."""

    token: int
    """The text token of this step."""
    pauses: tuple[float, ...] = ()
    """Probabilities that a pause of 0.5, 1, 2, 3 s begins here (`prs`); empty without heads."""


class Listener(StreamingRecognizer[Heard], Protocol):
    """Frames are 1920 samples at 24 kHz; a shorter last one is filled up with silence. A first one resets its slot."""

    delay_steps: int
    """A word's last token comes so many steps after the frame that it was spoken in: asr_delay_in_tokens, and one more
    with moshi's timing."""
    padding_token: int
    """Nothing is said here (3 in the published vocabularies)."""
    boundary_token: int
    """A word begins behind this one (0 there)."""
    pause_heads: int
    """How many probabilities a step brings; 0: none."""

    def text_of(self, tokens: Sequence[int]) -> str:
        """What the tokens of one word say. Callable from any thread; a few microseconds."""
        ...

    def step_s(self, streams: int) -> float:
        """Seconds that a step of so many live streams takes, by the newest measurements; from any thread."""
        ...
