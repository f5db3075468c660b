"""A recogniser without a model: what it says depends on every sample of a slot and on where the frames were cut."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from servers.common.interfaces import Audio, Frame
from servers.fastconformer.heard import Heard

FIRST, NEXT, FLUSH = 2656, 2560, 2560
POISON = 12_345
"""As a PCM16 sample: the model raises on a step that contains it."""
DEADLY = 23_456
"""The model's thread ends."""


class FakeEars:
    """One word for each frame with sound in it, told with the next frame, as a model with look-ahead does.

    `delay_s` is how long a step takes, `gate` holds it back.
    """

    sample_rate_hz = 16_000
    flush_samples = FLUSH

    def __init__(self, slots: int, *, delay_s: float = 0.0) -> None:
        self.slots, self.delay_s = slots, delay_s
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.frames_seen = 0
        self._chain = [0] * slots
        self._held: list[list[str]] = [[] for _ in range(slots)]

    def samples_wanted(self, *, first: bool) -> int:
        return FIRST if first else NEXT

    def step(self, frames: Sequence[Frame]) -> list[Heard]:
        self.entered.set()
        assert self.gate.wait(30)
        time.sleep(self.delay_s)
        assert len({frame.slot for frame in frames}) == len(frames)
        for frame in frames:
            assert frame.last or len(frame.samples) == self.samples_wanted(first=frame.first)
            if np.any(frame.samples == np.float32(DEADLY / 32_768)):
                raise SystemExit
            if np.any(frame.samples == np.float32(POISON / 32_768)):
                raise ArithmeticError("a bad row")
        self.frames_seen += len(frames)
        return [self._hear(frame) for frame in frames]

    def status(self) -> Mapping[str, Any]:
        return {"device": "fake", "parameters": 0}

    def _hear(self, frame: Frame) -> Heard:
        if frame.first:
            self._chain[frame.slot], self._held[frame.slot] = 0, []
        due, self._held[frame.slot] = self._held[frame.slot], []
        self._chain[frame.slot] = zlib.crc32(frame.samples.tobytes(), self._chain[frame.slot])
        if frame.samples.any():
            self._held[frame.slot].append(_word(self._chain[frame.slot]))
        if frame.last:
            due += self._held[frame.slot]
        return Heard(text="".join(f" {word}" for word in due))


def words_of(*turns: Audio) -> str:
    """The text of a stream with these turns, each but the last followed by a flush; float32 of shape (n,) each."""
    whole = np.zeros(0, np.float32)
    for turn in turns[:-1]:
        whole = np.concatenate([whole, turn, np.zeros(FLUSH, np.float32)])
        whole = np.concatenate([whole, np.zeros(-(len(whole) - FIRST) % NEXT, np.float32)])
    whole = np.concatenate([whole, turns[-1]])
    cuts = [FIRST, *range(FIRST + NEXT, len(whole) + 1, NEXT)] if len(whole) >= FIRST else []
    chain, words = 0, []
    for frame in np.split(whole, cuts):
        chain = zlib.crc32(frame.tobytes(), chain)
        if frame.any():
            words.append(_word(chain))
    return " ".join(words)


def _word(chain: int) -> str:
    return f"w{chain & 0xFFFFFF:06x}"
