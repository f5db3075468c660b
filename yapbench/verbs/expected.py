"""What known weights answer to some of the samples: right or wrong, but always the same.

Measured once with the server's own code, whose answers tests hold to those of the model's reference implementation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TOLERANCE: Final = 0.03
"""Between machines: an int8 model's kernels differ by processor."""

PROBABILITIES: Final[Mapping[str, Mapping[str, float]]] = {
    # smart-turn-v3.2-cpu, pipecat-ai 1.14.0
    "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f": {
        "turn-complete-tiny-002-slt": 0.9875,
        "turn-complete-plain-003-rms": 0.0177,
        "turn-complete-tiny-004-slt-p1.12": 0.9849,
        "turn-complete-tiny-008-rms-r1.10": 0.2720,
        "turn-cut-plain-001-slt": 0.0366,
        "turn-cut-short-01-rms": 0.0062,
    },
}
"""SHA-256 of the weights -> sample id -> probability that the turn is complete."""
