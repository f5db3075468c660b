"""What a server asks of its model. `app.py` receives one of these; tests pass a fake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
