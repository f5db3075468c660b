"""What a client can ask for, and what an encoding does: messages to requests, events to messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from servers.common.interfaces import Audio
from servers.kyutai.events import Event

SLICE_SAMPLES: Final = 16_384
"""At once: a message may be long, and other clients wait while it is decoded."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A new stream, whatever there was before (`Init`, `StartSTT`)."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """Audio."""

    slices: Callable[[], Iterator[Audio]]
    """Decodes it in portions, float32 of shape (n,) at 24 kHz; to be called once. Raises BadInput on the way."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Tell me when what came before is transcribed."""

    id: int


@dataclass(frozen=True, slots=True)
class Flush:
    """No more audio comes."""


Request = Begin | Sound | Mark | Flush
Wire = str | bytes
"""A text or a binary frame."""


class Codec(Protocol):
    """One connection's."""

    def read(self, message: Wire) -> Request | None:
        """None: nothing is asked for. Raises BadInput, TooLarge or Unsupported."""
        ...

    def write(self, event: Event) -> Sequence[Wire]:
        """What the client is told of it, if anything."""
        ...

    def rest(self) -> Sequence[Wire]:
        """What is better told once, behind several events."""
        ...
