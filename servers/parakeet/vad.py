"""Silero VAD from the `silero-vad` package, as ONNX: all windows of a call go through its network at once.

The package's sequence model takes n windows and gives n probabilities with the state behind the last: the same numbers
as window by window (tests/env/nemo/test_parakeet_vad.py), for one call into the runtime. A window is judged with the
last 64 samples before it, zeros at the stream's start.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio
from servers.parakeet.interfaces import WINDOW_SAMPLES, Probabilities, VadState

MODEL: Final = Path("data/silero_vad_16k_sequence.onnx")
CONTEXT_SAMPLES: Final = 64
STATE_SHAPE: Final = (1, 1, 128)
MOST_WINDOWS: Final = 512
"""Of one call of the network, 16 s: memory stays bounded however much audio comes at once."""


class Silero:
    """A SpeechDetector on one CPU thread. Any number of streams, each with a state of its own."""

    def __init__(self) -> None:
        """Raises StartupRefused when the package's model is not there."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(locate()), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self.hear(self.start(), np.zeros(WINDOW_SAMPLES, np.float32))  # the first call allocates

    def start(self) -> VadState:
        """Of a stream that begins."""
        silence = np.zeros(STATE_SHAPE, np.float32)
        return VadState(silence, silence, np.zeros(CONTEXT_SAMPLES, np.float32))

    def hear(self, state: VadState, samples: Audio) -> tuple[VadState, Probabilities]:
        """The state behind `samples` and their n probabilities. Raises ValueError unless they are float32 of shape
        (n * WINDOW_SAMPLES,)."""
        if samples.dtype != np.float32 or samples.ndim != 1 or len(samples) % WINDOW_SAMPLES:
            raise ValueError(f"not whole windows of float32: {samples.dtype} of shape {samples.shape}")
        windows = samples.reshape(-1, WINDOW_SAMPLES)
        found = [np.zeros(0, np.float32)]
        for begin in range(0, len(windows), MOST_WINDOWS):
            part = windows[begin : begin + MOST_WINDOWS]
            framed = np.empty((len(part), CONTEXT_SAMPLES + WINDOW_SAMPLES), np.float32)
            framed[:, CONTEXT_SAMPLES:] = part
            framed[0, :CONTEXT_SAMPLES] = state.context
            framed[1:, :CONTEXT_SAMPLES] = part[:-1, -CONTEXT_SAMPLES:]
            probabilities, hidden, cell = self._session.run(
                ["speech_probs", "hn", "cn"], {"input": framed, "h": state.hidden, "c": state.cell}
            )
            state = VadState(hidden, cell, part[-1, -CONTEXT_SAMPLES:].copy())
            found.append(probabilities.reshape(-1))
        return state, np.concatenate(found)


def locate() -> Path:
    """The package's file, found without running the package: its imports bring torch."""
    spec = importlib.util.find_spec("silero_vad")
    for place in spec.submodule_search_locations or () if spec else ():
        if (path := Path(place) / MODEL).is_file():
            return path
    raise StartupRefused(f"the voice activity detector needs {MODEL.name} of silero-vad: `yapbench install parakeet`")
