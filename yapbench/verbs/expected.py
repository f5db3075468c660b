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

TEXTS: Final[Mapping[tuple[str, str, int], Mapping[str, str]]] = {
    # servers/fastconformer/tiny/tiny.nemo
    ("1a3ad44951ef7537da3bc70f2c09a608e700a87b5b77e8b7a63556da58adbe21", "rnnt", 80): {
        "turn-complete-tiny-002-slt": "please turn off the lights in my room",
        "turn-complete-tiny-004-slt-p1.12": "can you play music in the kitchen",
        "turn-complete-tiny-006-rms-p0.90": "stop the music and close the door",
        "turn-complete-tiny-008-rms-r1.10": "please close the door in on lights",
        "turn-complete-tiny-010-slt-p0.90": "is the kitchen door open now",
        "turn-complete-tiny-012-rms-r0.90": "set my alarm for ten tomorrow morning",
    },
    # servers/parakeet/tiny/tiny.nemo
    ("21633fa05ffeb26e2c91ac512e5d95bde40652a29d65e0591fdf9ee448fac658", "", 0): {
        "turn-complete-tiny-002-slt": "please turn off the lights in my room",
        "turn-complete-tiny-004-slt-p1.12": "can you close the music kitchen",
        "turn-complete-tiny-006-rms-p0.90": "stop the music and close the door",
        "turn-complete-tiny-008-rms-r1.10": "please what the door in four on the lights",
        "turn-complete-tiny-010-slt-p0.90": "is the kitchen door open now",
        "turn-complete-tiny-012-rms-r0.90": "set my alarm for ten tomorrow morning",
    },
    # servers/kyutai/tiny/checkpoint/model.safetensors
    ("6e17c9fa2d5a61b8f8e1bc44719870a1317da78b724a9c4b0ab02b53f78d3aa8", "", 0): {
        "turn-complete-tiny-002-slt": "please turn off the lights in my room",
        "turn-complete-tiny-004-slt-p1.12": "can you play a the music in the kitchen",
        "turn-complete-tiny-006-rms-p0.90": "stop the music and close the door",
        "turn-complete-tiny-008-rms-r1.10": "please close the door and turn on the lights",
        "turn-complete-tiny-010-slt-p0.90": "is the kitchen door open now",
        "turn-complete-tiny-012-rms-r0.90": "set my alarm for can tomorrow morning",
    },
    # servers/voxtral/tiny/checkpoint/consolidated.safetensors, --vllm-dtype=float32
    ("cd0896a64262bca9fd08661ad17436b39d7cdacf483b556894c3b66012c8fbb0", "", 480): {
        "turn-complete-tiny-002-slt": "please turn off the lights in my room",
        "turn-complete-tiny-004-slt-p1.12": "can you play the music in the kitchen",
        "turn-complete-tiny-006-rms-p0.90": "stop the music and close the door",
        "turn-complete-tiny-008-rms-r1.10": "please close the door and turn on the lights",
        "turn-complete-tiny-010-slt-p0.90": "is the kitchen door open now",
        "turn-complete-tiny-012-rms-r0.90": "set my alarm for ten tomorrow morning",
    },
}
"""(SHA-256 of the weights, decoder, look-ahead or delay in ms) -> sample id -> text in float32, the same everywhere.

A server with one decoder and neither of the two has ("", 0).
"""
