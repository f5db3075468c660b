"""What lies around the words of a training clip: silence, noise, other voices, another microphone. Pure, seeded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np

from samples.encoding import SAMPLE_RATE_HZ
from samples.sound import Samples, active_rms

LEAD_S: Final = (0.0, 0.6)
TAIL_S: Final = (0.0, 1.2)
LEVEL_DBFS: Final = (-32.0, -20.0)
COLOURS: Final = 12


def heard(speech: Samples, voices: Callable[[int], Samples], rng: np.random.Generator) -> tuple[Samples, float]:
    """`speech` as a microphone gets it: another colour and level, silence around it, often noise over all.

    `voices` gives so many samples of other people, root mean square 1. Also the seconds of silence put before it.
    """
    tilt = float(rng.uniform(-0.4, 0.4)) if rng.random() < 0.5 else 0.0
    if tilt:
        before = np.concatenate([np.zeros(1, np.float32), speech[:-1]])
        speech = np.asarray(speech + tilt * before, np.float32)
    level = 10 ** (rng.uniform(*LEVEL_DBFS) / 20)
    speech = speech * np.float32(level / active_rms(speech, sample_rate_hz=SAMPLE_RATE_HZ))
    lead, tail = (np.zeros(int(rng.uniform(*span) * SAMPLE_RATE_HZ), np.float32) for span in (LEAD_S, TAIL_S))
    whole = np.concatenate([lead, speech, tail])
    kind = rng.random()
    if kind < 0.5:
        whole = whole + np.float32(level * 10 ** (-rng.uniform(35, 55) / 20)) * coloured(len(whole), rng)
    elif kind < 0.85:
        share = 10 ** (-rng.uniform(10, 30) / 20)
        noise = coloured(len(whole), rng) if rng.random() < 0.6 else voices(len(whole))
        whole = whole + np.float32(level * share) * noise
    return np.asarray(np.clip(whole, -1, 1), np.float32), len(lead) / SAMPLE_RATE_HZ


def background(count: int, rng: np.random.Generator) -> Samples:
    """Digital silence or noise without a word, shape (count,)."""
    if rng.random() < 0.3:
        return np.zeros(count, np.float32)
    return np.float32(10 ** (rng.uniform(-80, -32) / 20)) * coloured(count, rng)


def coloured(count: int, rng: np.random.Generator) -> Samples:
    """White to brown noise, shape (count,), root mean square about 1: a stretch of a loop of half a minute."""
    loop = loops()[int(rng.integers(COLOURS))]
    begin = int(rng.integers(len(loop)))
    return np.resize(np.roll(loop, -begin) if begin + count > len(loop) else loop[begin:], count)


@cache
def loops() -> tuple[Samples, ...]:
    """COLOURS noises from white to brown; each ends as it begins, and is the same in every training."""
    count, rng = 2**19, np.random.default_rng(0)
    made = []
    for at in range(COLOURS):
        spectrum = np.fft.rfft(rng.standard_normal(count))
        spectrum /= np.maximum(np.arange(len(spectrum)), count * 50 / SAMPLE_RATE_HZ) ** (at / (COLOURS - 1))
        noise = np.fft.irfft(spectrum, count)
        made.append(np.asarray(noise / noise.std(), np.float32))
    return tuple(made)
