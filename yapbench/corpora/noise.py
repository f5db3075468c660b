"""Noise at a given distance below speech: white, pink, babble; mixing that keeps the asked SNR and never clips.

Pure arithmetic on mono samples. Knows no files and no corpus.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

Noise = Literal["white", "pink", "babble"]
NOISES: Final[tuple[Noise, ...]] = ("white", "pink", "babble")

LOWEST_SNR_DB: Final = -20.0
HIGHEST_SNR_DB: Final = 60.0
PEAK: Final = 0.99
"""A mix that would go beyond this is turned down, speech and noise alike."""

ACTIVE_BELOW_PEAK_DB: Final = 30.0
FRAME_MS: Final = 20


def active(speech: NDArray[np.floating], *, sample_rate_hz: int) -> NDArray[np.bool_]:
    """Which samples are speech, shape (n,): those of 20 ms frames within 30 dB of the loudest frame.

    All False for digital silence. What is left after the last whole frame goes with that frame.
    """
    frame = min(len(speech), max(1, sample_rate_hz * FRAME_MS // 1000))
    if not frame:
        return np.zeros(0, np.bool_)
    whole = np.asarray(speech[: len(speech) // frame * frame], np.float64).reshape(-1, frame)
    power = (whole**2).mean(axis=1)
    loud = (power > 0) & (power >= power.max() * 10 ** (-ACTIVE_BELOW_PEAK_DB / 10))
    mask = np.repeat(loud, frame)
    return np.concatenate([mask, np.full(len(speech) - len(mask), mask[-1])])


def measured_db(speech: NDArray[np.floating], noise: NDArray[np.floating], *, sample_rate_hz: int) -> float:
    """Power of `speech` over that of `noise`, both where there is speech. Shapes (n,); inf without noise there.

    Raises ValueError where there is no speech at all.
    """
    mask = active(speech, sample_rate_hz=sample_rate_hz)
    if not mask.any():
        raise ValueError("digital silence: without speech a signal-to-noise ratio means nothing")
    below = _power(noise[mask])
    return math.inf if below == 0 else 10 * math.log10(_power(speech[mask]) / below)


def mix(
    speech: NDArray[np.floating], noise: NDArray[np.floating], *, snr_db: float, sample_rate_hz: int
) -> tuple[NDArray[np.float32], float]:
    """Speech with `noise` at `snr_db` below it, and the gain both were turned down by (1.0: nothing would clip).

    Shapes (n,). The SNR is that of the samples where there is speech, so pauses do not make noise louder. Raises
    ValueError without speech, without noise where there is speech, or for an SNR outside the limits.
    """
    if not LOWEST_SNR_DB <= snr_db <= HIGHEST_SNR_DB:
        raise ValueError(f"snr_db {snr_db:g} lies outside {LOWEST_SNR_DB:g} to {HIGHEST_SNR_DB:g}")
    as_it_is_db = measured_db(speech, noise, sample_rate_hz=sample_rate_hz)
    if math.isinf(as_it_is_db):
        raise ValueError("the noise is silent where there is speech")
    both = np.asarray(speech, np.float64) + np.asarray(noise, np.float64) * 10 ** ((as_it_is_db - snr_db) / 20)
    peak = float(np.abs(both).max())
    gain = PEAK / peak if peak > PEAK else 1.0
    return np.asarray(both * gain, np.float32), gain


def white(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` samples of equal power at every frequency; root mean square about 1."""
    return rng.standard_normal(count)


def pink(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` samples whose power falls by 3 dB an octave, much as that of streets does; root mean square 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    places = np.arange(len(spectrum), dtype=np.float64)
    places[0] = np.inf  # no constant part
    shaped = np.fft.irfft(spectrum / np.sqrt(places), count)
    return _levelled(shaped)


def babble(
    count: int, rng: np.random.Generator, talkers: Sequence[NDArray[np.floating]], *, sample_rate_hz: int
) -> NDArray[np.float64]:
    """`count` samples of everybody in `talkers` at once, equally loud, each begun anywhere and repeated; RMS 1.

    Raises ValueError without talkers or when one of them is silent.
    """
    if not talkers:
        raise ValueError("babble needs at least one talker")
    total = np.zeros(count)
    for talker in talkers:
        mask = active(talker, sample_rate_hz=sample_rate_hz)
        if not mask.any():
            raise ValueError("a talker of the babble is silent")
        loudness = math.sqrt(_power(talker[mask]))
        begun = np.roll(np.asarray(talker, np.float64), int(rng.integers(len(talker))))
        total += np.resize(begun, count) / loudness
    return _levelled(total)


def _levelled(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    loudness = math.sqrt(_power(samples)) if len(samples) else 0.0
    return samples / loudness if loudness else samples


def _power(samples: NDArray[np.floating]) -> float:
    return cast(float, (np.asarray(samples, np.float64) ** 2).mean())
