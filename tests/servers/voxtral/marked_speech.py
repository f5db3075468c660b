"""Sound that carries numbers: each mark is one word, so that a word lost or doubled shows.

A mark is 40 ms of a square wave whose level is its number: it is heard whole or not at all, wherever the stream is
cut into messages, steps or requests. Between marks there is silence, or noise too quiet to be one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

SAMPLE_RATE_HZ: Final = 16_000
STEP_SAMPLES: Final = 1280
MARK_SAMPLES: Final = 640
LOWEST: Final = 2000
"""The level of number 0; anything below is no mark."""
NUMBERS: Final = range(32_767 - LOWEST + 1)


def word(number: int) -> str:
    """What a recogniser says to a mark."""
    return f" w{number}"


def text(numbers: Iterable[int]) -> str:
    """The transcript of `speech(numbers)`."""
    return "".join(map(word, numbers))


def numbers_of(transcript: str) -> list[int]:
    """Back from a transcript; raises ValueError where it holds anything else than whole words."""
    return [int(piece.removeprefix("w")) for piece in transcript.split()]


def mark(number: int) -> np.ndarray:
    """int16, shape (MARK_SAMPLES,)."""
    if number not in NUMBERS:
        raise ValueError(f"{number} is not in {NUMBERS}")
    wave = np.full(MARK_SAMPLES, LOWEST + number, np.int16)
    wave[1::2] *= -1
    return wave


def silence(seconds: float) -> bytes:
    """PCM16 zeros."""
    return bytes(2 * round(seconds * SAMPLE_RATE_HZ))


def speech(numbers: Iterable[int], *, every_s: float = 0.4, noise: int = 0, seed: int = 0) -> bytes:
    """PCM16: a mark at the beginning of each `every_s`, then silence or noise of at most that level (< LOWEST)."""
    if not 0 <= noise < LOWEST:
        raise ValueError(f"noise={noise}: marks begin at {LOWEST}")
    draw, size = np.random.default_rng(seed), round(every_s * SAMPLE_RATE_HZ)
    if size <= MARK_SAMPLES:
        raise ValueError(f"every_s={every_s:g}: a mark and the gap after it take {MARK_SAMPLES} samples and more")
    pieces = []
    for number in numbers:
        piece = draw.integers(-noise, noise + 1, size).astype(np.int16)
        piece[:MARK_SAMPLES] = mark(number)
        pieces.append(piece.tobytes())
    return b"".join(pieces)


class Ear:
    """Hears marks in a stream that comes in pieces of any size."""

    def __init__(self) -> None:
        self.samples = 0
        """Heard so far."""
        self._level = -1
        self._run = 0

    def feed(self, pcm: bytes) -> list[tuple[int, int]]:
        """Marks that were completed in this PCM16: (number, sample at which it was whole, from the stream's start)."""
        levels = np.abs(np.frombuffer(pcm, "<i2").astype(np.int32))
        if not len(levels):
            return []
        starts = np.concatenate(([0], np.flatnonzero(np.diff(levels)) + 1))
        runs = np.diff(np.concatenate((starts, [len(levels)])))
        carried = self._run if levels[0] == self._level else 0
        runs[0] += carried
        whole = (levels[starts] >= LOWEST) & (runs >= MARK_SAMPLES)
        whole[0] &= carried < MARK_SAMPLES
        found = []
        for at in np.flatnonzero(whole):
            begin = self.samples + int(starts[at]) - (carried if at == 0 else 0)
            found.append((int(levels[starts[at]]) - LOWEST, begin + MARK_SAMPLES))
        self._level, self._run = int(levels[-1]), int(runs[-1])
        self.samples += len(levels)
        return found
