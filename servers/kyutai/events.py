"""What one stream has to tell, in the order in which it happens. Knows no encoding."""

from __future__ import annotations

from dataclasses import dataclass

from servers.common.errors import ServerFault


@dataclass(frozen=True, slots=True)
class Ready:
    """The stream begins: whatever its seat held before is forgotten."""


@dataclass(frozen=True, slots=True)
class Step:
    """One frame with audio of the client's was heard."""

    step_idx: int
    """Of this stream, from 1: so many frames of 80 ms were heard."""
    prs: tuple[float, ...]
    """Probabilities of a pause of 0.5, 1, 2, 3 s; empty without heads."""
    buffered_pcm: int
    """Samples that wait."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word is complete."""

    text: str
    start_s: float


@dataclass(frozen=True, slots=True)
class EndWord:
    """Where the newest word ends; one for each."""

    stop_s: float


@dataclass(frozen=True, slots=True)
class Marker:
    """All audio from before the client's marker of this name is transcribed."""

    id: int


@dataclass(frozen=True, slots=True)
class Final:
    """The end that the client asked for: all its words."""

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The end that nobody asked for."""

    fault: ServerFault


Event = Ready | Step | Word | EndWord | Marker | Final | Failed
