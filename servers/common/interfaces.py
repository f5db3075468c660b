"""What a server asks of its model. `app.py` receives one of these; tests pass a fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
"""Mono samples, shape (n,), dtype float32, nominally in [-1, 1]."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights answered: goes into /status, every trial and every report."""

    model_id: str
    revision: str
    sha256: str
    """Of the weights file; empty where there are no weights (echo)."""


class TurnDetector(Protocol):
    """Says for each clip how probable it is that the speaker has finished."""

    def predict(self, batch: Sequence[Audio]) -> list[float]:
        """Probabilities in [0, 1], one for each clip; clips are 16 kHz, shape (n,), any mix of lengths.

        Blocking; called from a worker thread. Raises whatever the runtime raises: the batcher retries one by one.
        """
        ...


R = TypeVar("R", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What one step takes of one stream."""

    slot: int
    """0 .. slots - 1; at most one frame of a slot in a step."""
    samples: Audio
    """As many as `samples_wanted` said; the last frame of a stream may have fewer, down to none."""
    first: bool = False
    """A new stream begins in this slot: what it held before is forgotten."""
    last: bool = False
    """The stream ends with these samples: whatever is still owed comes out."""


class StreamingRecognizer(Protocol[R]):
    """Hears many streams, each in a slot of its own, all of them in one step of the model.

    What comes out for a slot depends on that slot's frames alone, whichever others are in the same step.
    """

    sample_rate_hz: int
    slots: int
    flush_samples: int
    """So much silence brings out everything that has been heard."""

    def samples_wanted(self, *, first: bool) -> int:
        """New samples that a stream's first step, or each later one, takes."""
        ...

    def step(self, frames: Sequence[Frame]) -> Sequence[R]:
        """What each frame brought, in order. Blocking; called from one thread only.

        Raises whatever the runtime raises; no slot has changed then, and the same frames may be tried again.
        """
        ...

    def status(self) -> Mapping[str, Any]:
        """What only the model knows, for /status: `device`, `dtype`, ..."""
        ...
