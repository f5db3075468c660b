"""A transcriber and a detector without models: a tone is a word, and its pitch says which.

So a test knows what each chunk must come back as, however it travelled: as PCM, in a WAV, through MP3.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.interfaces import Audio
from servers.parakeet.interfaces import WINDOW_SAMPLES, Probabilities, VadState
from servers.parakeet.transcript import Span, Transcript, Word

WORD_S: Final = 0.2
GAP_S: Final = 0.1
"""Between the words of a sentence: no pause that a detector would close a chunk on."""
LOWEST_HZ, STEP_HZ, WORDS = 300, 25, 120
POISON: Final = 110
"""The model raises on a chunk with this word."""
DEADLY: Final = 111
"""The model's thread ends."""
QUIET: Final = 0.01
_FRAME: Final = 160


def say(*numbers: int, gap_s: float = GAP_S, level: float = 0.3) -> Audio:
    """Words w0 .. w119 one after another, each followed by `gap_s` of silence; 16 kHz, shape (n,)."""
    time_s = np.arange(round(WORD_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    gap = np.zeros(round(gap_s * SAMPLE_RATE_HZ))
    tones = [(level * np.sin(2 * np.pi * (LOWEST_HZ + STEP_HZ * number) * time_s), gap) for number in numbers]
    parts = [part for tone in tones for part in tone]
    return np.concatenate(parts or [np.zeros(0)]).astype(np.float32)


def silence(seconds: float) -> Audio:
    """16 kHz, shape (n,)."""
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), np.float32)


def text_of(*numbers: int) -> str:
    """What `say(*numbers)` is transcribed as."""
    return " ".join(f"w{number}" for number in numbers)


class FakeTranscriber:
    """`delay_s` is how long a call takes, `gate` holds it back."""

    def __init__(self, *, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.taken = 0  # chunks of all calls that have begun
        self.longest_s = 0.0
        """Of the chunks given to it."""

    def transcribe(self, batch: Sequence[Audio]) -> list[Transcript]:
        self.taken += len(batch)
        self.entered.set()
        assert self.gate.wait(30)
        time.sleep(self.delay_s)
        self.batches.append(len(batch))
        self.longest_s = max(self.longest_s, *(len(chunk) / SAMPLE_RATE_HZ for chunk in batch))
        return [heard(chunk) for chunk in batch]

    def status(self) -> Mapping[str, Any]:
        return {"device": "fake", "dtype": "float32"}


class FakeDetector:
    """Speech is what is loud."""

    def start(self) -> VadState:
        nothing = np.zeros(0, np.float32)
        return VadState(nothing, nothing, nothing)

    def hear(self, state: VadState, samples: Audio) -> tuple[VadState, Probabilities]:
        windows = samples.reshape(-1, WINDOW_SAMPLES)
        return state, np.where(np.abs(windows).max(1) > QUIET, np.float32(0.95), np.float32(0.02))


def heard(chunk: Audio) -> Transcript:
    """The words in `chunk`; one that is cut off by its edge is half a word and written with a dash."""
    assert chunk.dtype == np.float32 and chunk.ndim == 1 and len(chunk)
    words = []
    for begin, end in _runs(chunk):
        number = _number(chunk[begin * _FRAME : end * _FRAME])
        if number == POISON:
            raise ArithmeticError("a bad chunk")
        if number == DEADLY:
            raise SystemExit
        whole = (end - begin) * _FRAME >= 0.85 * WORD_S * SAMPLE_RATE_HZ
        text = f"w{number}" if whole else f"w{number}-"
        words.append(Word(text, begin * _FRAME / SAMPLE_RATE_HZ, end * _FRAME / SAMPLE_RATE_HZ, 0.9))
    text = " ".join(word.text for word in words)
    spans = tuple(Span(word.text, word.start_s, word.end_s) for word in words)
    segments = (Span(text, words[0].start_s, words[-1].end_s),) if words else ()
    return Transcript(text, tuple(words), segments, spans)


def _runs(chunk: Audio) -> list[tuple[int, int]]:
    """Where it is loud: first frame of 10 ms and the one behind the last."""
    frames = chunk[: len(chunk) // _FRAME * _FRAME].reshape(-1, _FRAME)
    loud = np.concatenate([[False], np.sqrt((frames**2).mean(1)) > 2 * QUIET, [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1])
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2) if end - begin >= 3]


def _number(tone: Audio) -> int:
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 1 << 16))
    return round((int(spectrum.argmax()) * SAMPLE_RATE_HZ / (1 << 16) - LOWEST_HZ) / STEP_HZ)
