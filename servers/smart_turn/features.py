"""Log-mel features of Smart Turn v3: exactly the numbers of the reference, for less work.

The model is int8 and amplifies rounding: features in float32 move its answer by more than 0.1. So everything
after the normalisation is float64, in the reference's order of operations, and the output is bit-equal to it.
Saved are the frames that lie in the padding (computed once) and the memory traffic (buffers are kept).
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from servers.common.interfaces import Audio

SAMPLE_RATE_HZ = 16_000
MAX_SECS = 8
N_SAMPLES = SAMPLE_RATE_HZ * MAX_SECS
N_FFT = 400
HOP = 160
N_BINS = N_FFT // 2 + 1
N_MELS = 80
N_FRAMES = N_SAMPLES // HOP
EDGE = N_FFT // 2
"""Samples reflected at each end, so that frame t is centred on sample t * HOP."""

BLOCK = 64
"""Frames transformed at a time: small enough to stay in the cache."""

Features = NDArray[np.float32]
Array = NDArray[np.float64]


class LogMel:
    """Turns one clip after the other into features. Holds its buffers: one instance per thread."""

    def __init__(self) -> None:
        self._window: Array = np.hanning(N_FFT + 1)[:-1]
        self._filters = mel_filters()
        self._clip: Audio = np.zeros(N_SAMPLES, np.float32)
        self._padded: Array = np.zeros(N_SAMPLES + 2 * EDGE, np.float64)
        self._frames = sliding_window_view(self._padded, N_FFT)[::HOP]
        self._windowed: Array = np.zeros((BLOCK, N_FFT), np.float64)
        self._spectrum: NDArray[np.complex128] = np.zeros((BLOCK, N_BINS), np.complex128)
        # One frame more than is used, as in the reference: the product below must have the reference's shape,
        # because a matrix library may sum in another order for another shape.
        self._power: Array = np.zeros((N_FRAMES + 1, N_BINS), np.float64)
        self._mel: Array = np.zeros((N_MELS, N_FRAMES + 1), np.float64)

    def __call__(self, clip: Audio, out: Features) -> None:
        """Writes the features of `clip`, shape (n,) at 16 kHz, last 8 s kept, to `out`, shape (80, 800)."""
        first = self._normalise(clip)
        for start in range(first, N_FRAMES, BLOCK):
            stop = min(start + BLOCK, N_FRAMES)
            windowed, spectrum = self._windowed[: stop - start], self._spectrum[: stop - start]
            np.multiply(self._frames[start:stop], self._window, out=windowed)
            np.fft.rfft(windowed, axis=-1, out=spectrum)
            np.square(np.abs(spectrum, out=self._power[start:stop]), out=self._power[start:stop])
        self._power[:first] = self._power[first]
        log_mel = np.matmul(self._filters.T, self._power.T, out=self._mel)
        np.log10(np.maximum(log_mel, 1e-10, out=log_mel), out=log_mel)
        kept = log_mel[:, :N_FRAMES]
        np.maximum(kept, kept.max() - 8.0, out=kept)
        np.add(kept, 4.0, out=kept)
        np.divide(kept, 4.0, out=out, casting="same_kind")

    def _normalise(self, clip: Audio) -> int:
        """Pads `clip` in front, normalises it; returns the last of the leading frames that are all alike."""
        silent = max(0, N_SAMPLES - clip.shape[0])
        self._clip[:silent] = 0.0
        self._clip[silent:] = clip[-N_SAMPLES:]
        # In float32 and over the padding too, as in the reference.
        mean = self._clip.mean()
        scale = np.sqrt(self._clip.var() + np.float32(1e-7))
        samples = self._padded[EDGE:-EDGE]
        samples[:silent] = (np.float32(0.0) - mean) / scale
        samples[silent:] = (self._clip[silent:] - mean) / scale
        self._padded[:EDGE] = samples[EDGE:0:-1]
        self._padded[-EDGE:] = samples[-2 : -EDGE - 2 : -1]
        # Frame t reads samples t * HOP - EDGE to t * HOP + EDGE - 1; frame 0 reads sample EDGE, reflected.
        return (silent - EDGE) // HOP if silent > EDGE else 0


def mel_filters() -> Array:
    """Triangles on the Slaney mel scale (linear below 1 kHz, logarithmic above), each of equal area.

    Shape (201, 80): bins x filters.
    """
    lowest, highest = _to_mel(np.array([0.0, SAMPLE_RATE_HZ / 2]))
    mels = np.linspace(lowest, highest, N_MELS + 2)
    edges_hz = _to_hertz(mels)
    bins_hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, N_BINS)
    distance = edges_hz[np.newaxis, :] - bins_hz[:, np.newaxis]
    width = np.diff(edges_hz)
    falling = -distance[:, :-2] / width[:-1]
    rising = distance[:, 2:] / width[1:]
    filters: Array = np.maximum(0.0, np.minimum(falling, rising))
    filters *= (2.0 / (edges_hz[2:] - edges_hz[:-2]))[np.newaxis, :]
    return filters


def _to_mel(hertz: Array) -> Array:
    linear = 3.0 * hertz / 200.0
    logarithmic = 15.0 + np.log(np.maximum(hertz, 1000.0) / 1000.0) * (27.0 / np.log(6.4))
    return np.where(hertz >= 1000.0, logarithmic, linear)


def _to_hertz(mels: Array) -> Array:
    linear = 200.0 * mels / 3.0
    logarithmic = 1000.0 * np.exp((np.log(6.4) / 27.0) * (mels - 15.0))
    return np.where(mels >= 15.0, logarithmic, linear)
