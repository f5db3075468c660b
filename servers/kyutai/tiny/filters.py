"""The first three convolutions of the tiny Mimi, set by hand: together they are a bank of band filters. Pure numpy.

A small network does not find them in minutes from raw samples. The first layers only hand delayed samples on, so
small that their ELUs bend nothing; the third down-sampling then holds whole filters of 257 samples.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]

RATIOS: Final = (5, 3, 8, 8)
"""Down-samplings from 24 kHz to 25 Hz, in the order of the encoder; the filters come every 5 ms."""
CHANNELS: Final = 8
"""Of the first convolution, twice as many behind each down-sampling."""
TAPS: Final = 257
"""Samples that a filter sees, 10.7 ms."""
BANDS: Final = 21
PHASES: Final = 3
"""Filters of a band a third of a turn apart: the sum of their positive parts hardly depends on the phase."""
LOWEST_HZ, HIGHEST_HZ = 120.0, 7500.0
SMALL: Final = 0.02
"""Samples times this are where an ELU is straight."""
_RATE_HZ: Final = 24_000


def delays() -> tuple[Weights, Weights, Weights]:
    """Kernels (out, in, taps) of the first convolution and the first two down-samplings.

    Their channel c is the newest sample of the block, delayed by c samples.
    """
    first = np.zeros((CHANNELS, 1, 7), np.float32)
    for delay in range(7):
        first[delay, 0, 6 - delay] = SMALL
    return first, _down(first.shape[0], 7, block=1, ratio=RATIOS[0]), _down(16, 16, block=5, ratio=RATIOS[1])


def _down(channels: int, used: int, *, block: int, ratio: int) -> Weights:
    """Picks delayed samples of a stream whose channel d is a block's newest sample, delayed by d < `used`."""
    taps = 2 * ratio
    kernel = np.zeros((2 * channels, channels, taps), np.float32)
    for delay in range(2 * channels):
        back = min(delay // block, taps - 1)
        if delay - back * block < used:
            kernel[delay, delay - back * block, taps - 1 - back] = 1.0
    return kernel


def bank(filters: Weights) -> Weights:
    """The kernel of the third down-sampling, (64, 32, 16), that applies `filters` (64, TAPS) to the samples.

    `filters[:, n]` weighs the sample n before the newest one.
    """
    kernel = np.zeros((len(filters), 32, 2 * RATIOS[2]), np.float32)
    for delay in range(TAPS):
        back = min(delay // 15, 15)
        kernel[:, delay - back * 15, 15 - back] = filters[:, delay] / SMALL
    return kernel


def band_filters() -> Weights:
    """(64, TAPS): BANDS bands, evenly spaced on the mel scale, in PHASES phases; the one left over is empty."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    mel = np.linspace(lowest, highest, BANDS + 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    found = np.zeros((8 * CHANNELS, TAPS), np.float32)
    time = np.arange(TAPS) - TAPS // 2
    for band in range(BANDS):
        width = min(TAPS, round(4 * _RATE_HZ / (hertz[band + 2] - hertz[band])))
        window = np.where(np.abs(time) < width / 2, np.cos(np.pi * time / width) ** 2, 0)
        for phase in range(PHASES):
            wave = window * np.cos(2 * np.pi * (hertz[band + 1] * time / _RATE_HZ + phase / PHASES))
            wave -= window * wave.sum() / window.sum()
            found[band * PHASES + phase] = wave / np.linalg.norm(wave)
    return found
