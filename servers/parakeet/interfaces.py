"""What this server asks of its model and of its voice activity detector. Tests pass fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from servers.common.interfaces import Audio
from servers.parakeet.transcript import Transcript

Probabilities = NDArray[np.float32]
"""That there is speech, one for each window of WINDOW_SAMPLES, shape (windows,), in [0, 1]."""

WINDOW_SAMPLES = 512
"""What the detector judges at once: 32 ms at 16 kHz."""


class Transcriber(Protocol):
    """Writes what is said in whole chunks of audio."""

    def transcribe(self, batch: Sequence[Audio]) -> list[Transcript]:
        """One for each chunk: 16 kHz, shape (n,), n >= 1, any mix of lengths. What comes out for a chunk depends on
        that chunk alone.

        Blocking; called from one thread. Raises whatever the runtime raises: the batcher retries one by one.
        """
        ...

    def status(self) -> Mapping[str, Any]:
        """What only the model knows, for /status, as it is now: `device`, `dtype`, `largest_batch` ..."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class VadState:
    """What the detector remembers of one stream; a new object after each call: a failed one changes nothing."""

    hidden: NDArray[np.float32]
    cell: NDArray[np.float32]
    context: NDArray[np.float32]


class SpeechDetector(Protocol):
    """Says for each window of a stream how probable speech is in it."""

    def start(self) -> VadState:
        """Of a stream that begins."""
        ...

    def hear(self, state: VadState, samples: Audio) -> tuple[VadState, Probabilities]:
        """`samples`: 16 kHz, shape (n * WINDOW_SAMPLES,). Blocking; called from one thread."""
        ...
