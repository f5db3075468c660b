"""A listener without a model: each token is a tone of its own, so that what a stream says is what was played to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from servers.common.interfaces import Audio, Frame
from servers.kyutai.interfaces import Heard
from servers.kyutai.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ

BOUNDARY, PADDING, FIRST_LETTER = 0, 3, 4
DELAY = 6
POISON = 0.912345
"""A sample on which the step raises."""
DEADLY = 0.923456
"""The model's thread ends."""


class FakeListener:
    """`delay_s` is how long a step takes, `gate` holds it back, `cost_s` is what it says of a step's length."""

    sample_rate_hz = SAMPLE_RATE_HZ
    flush_samples = (DELAY + 2) * FRAME_SAMPLES
    delay_steps = DELAY
    padding_token, boundary_token = PADDING, BOUNDARY

    def __init__(self, slots: int, *, delay_s: float = 0.0, pause_heads: int = 4) -> None:
        self.slots, self.delay_s, self.pause_heads = slots, delay_s, pause_heads
        self.cost_s = 0.0
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.frames_seen = 0
        self._heard: list[list[int]] = [[] for _ in range(slots)]

    def samples_wanted(self, *, first: bool) -> int:
        return FRAME_SAMPLES

    def text_of(self, tokens: Sequence[int]) -> str:
        return "".join(chr(ord("a") + token - FIRST_LETTER) for token in tokens)

    def step_s(self, streams: int) -> float:
        return self.cost_s * streams

    def status(self) -> Mapping[str, Any]:
        return {"device": "fake"}

    def step(self, frames: Sequence[Frame]) -> list[Heard]:
        self.entered.set()
        assert self.gate.wait(30)
        time.sleep(self.delay_s)
        assert len({frame.slot for frame in frames}) == len(frames)
        for frame in frames:
            assert len(frame.samples) == FRAME_SAMPLES
            if np.any(frame.samples == np.float32(DEADLY)):
                raise SystemExit
            if np.any(frame.samples == np.float32(POISON)):
                raise ArithmeticError("a bad row")
        self.frames_seen += len(frames)
        return [self._hear(frame) for frame in frames]

    def _hear(self, frame: Frame) -> Heard:
        heard = self._heard[frame.slot]
        if frame.first:
            heard.clear()
        heard.append(token_of(frame.samples))
        token = heard[-1 - DELAY] if len(heard) > DELAY else PADDING
        return Heard(token, (float(heard[-1] == PADDING),) * self.pause_heads)


def tone(token: int, frames: int = 1) -> Audio:
    """The sound of one token, float32 of shape (frames * 1920,): periods of its own to a frame."""
    phase = np.arange(FRAME_SAMPLES) * (2 * np.pi * _cycles(token) / FRAME_SAMPLES)
    return np.tile(0.5 * np.sin(phase), frames).astype(np.float32)


def token_of(samples: Audio) -> int:
    """Silence is padding."""
    power = np.abs(np.fft.rfft(samples))
    return PADDING if power.max() < 10 else (int(power.argmax()) - 20) // 4


def silence(frames: int) -> Audio:
    return np.zeros(frames * FRAME_SAMPLES, np.float32)


def say(text: str, *, before: int = 2, after: int = 2) -> Audio:
    """Words as audio: silence, then a boundary and a frame for each letter, then silence. float32 of shape (n,)."""
    parts = []
    for word in text.split():
        letters = [tone(ord(letter) - ord("a") + FIRST_LETTER) for letter in word]
        parts += [silence(before), tone(BOUNDARY), *letters, silence(after)]
    return np.concatenate([*parts, np.zeros(0, np.float32)])


def begins_s(text: str, *, before: int = 2, after: int = 2) -> list[float]:
    """When the words of `say` begin, by moshi's rules: its count of steps is one ahead of the frames."""
    found, frames = [], 0
    for word in text.split():
        found.append((frames + before + 2) * 0.08)
        frames += before + 1 + len(word) + after
    return found


def _cycles(token: int) -> int:
    return 20 + 4 * token
