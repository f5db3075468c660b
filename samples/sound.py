"""Arithmetic on mono float32 samples: level, speech end, fades, faint noise, babble, mixing. Seeded where random.

Knows no voices, texts or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SPEECH_LEVEL_DBFS: Final = -26.0
"""Root mean square of the active speech: the usual level of telephone test material."""

FAINT_NOISE_DBFS: Final = -72.0
END_THRESHOLD_DB: Final = -40.0
"""Speech ends with the last 10 ms frame that is not further than this below the loudest one."""


def active_rms(samples: NDArray[np.floating], *, sample_rate_hz: int) -> float:
    """Root mean square over the 20 ms frames within 30 dB of the loudest one: speech without its pauses."""
    power = _frame_power(samples, sample_rate_hz // 50)
    return float(np.sqrt(power[power > power.max() * 1e-3].mean()))


def levelled(samples: Samples, *, sample_rate_hz: int) -> Samples:
    """The same speech at SPEECH_LEVEL_DBFS."""
    gain = 10 ** (SPEECH_LEVEL_DBFS / 20) / active_rms(samples, sample_rate_hz=sample_rate_hz)
    return (samples * gain).astype(np.float32)


def speech_end_s(samples: NDArray[np.floating], *, sample_rate_hz: int) -> float:
    """End of the last 10 ms frame above END_THRESHOLD_DB, in seconds."""
    frame = sample_rate_hz // 100
    power = _frame_power(samples, frame)
    return float(np.flatnonzero(power > power.max() * 10 ** (END_THRESHOLD_DB / 10))[-1] + 1) * frame / sample_rate_hz


def ended(samples: Samples, *, at_s: float, silence_s: float, sample_rate_hz: int) -> Samples:
    """`samples` up to `at_s` with a 5 ms fade at its end, then `silence_s` of zeros."""
    kept = samples[: round(at_s * sample_rate_hz)].copy()
    fade = min(len(kept), sample_rate_hz // 200)
    kept[len(kept) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return np.concatenate([kept, np.zeros(round(silence_s * sample_rate_hz), np.float32)])


def with_faint_noise(samples: Samples, *, seed: int) -> Samples:
    """Adds white noise at FAINT_NOISE_DBFS from end to end: no stretch of a clip is digital silence."""
    noise = np.random.default_rng(seed).standard_normal(len(samples)) * 10 ** (FAINT_NOISE_DBFS / 20)
    return (samples + noise).astype(np.float32)


def babble(
    clips: Sequence[Samples], count: int, *, seed: int, talkers: int, sample_rate_hz: int
) -> NDArray[np.float64]:
    """`count` samples of `talkers` people talking at once, each a shuffled chain of `clips`; root mean square 1."""
    rng = np.random.default_rng(seed)
    equal = [clip / active_rms(clip, sample_rate_hz=sample_rate_hz) for clip in clips]
    total = np.zeros(count)
    for _ in range(talkers):
        chain = np.concatenate([equal[index] for index in rng.permutation(len(equal))])
        total += np.resize(np.roll(chain, int(rng.integers(len(chain)))), count)
    loudness: float = np.sqrt((total**2).mean())
    return np.asarray(total / loudness, np.float64)


def mixed(speech: Samples, noise: NDArray[np.float64], *, snr_db: float, sample_rate_hz: int) -> Samples:
    """Speech plus `noise` (root mean square 1) at `snr_db` below the active speech; scaled down if it would clip."""
    level = active_rms(speech, sample_rate_hz=sample_rate_hz) * 10 ** (-snr_db / 20)
    both = speech + noise * level
    return np.asarray(both * min(1.0, 0.9 / float(np.abs(both).max())), np.float32)


def _frame_power(samples: NDArray[np.floating], frame: int) -> NDArray[np.float64]:
    whole = np.asarray(samples[: len(samples) // frame * frame], np.float64)
    return np.asarray((whole.reshape(-1, frame) ** 2).mean(axis=1), np.float64)
