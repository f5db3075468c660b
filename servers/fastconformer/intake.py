"""From the bytes of a connection to samples at 16 kHz, whatever their portions and their rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import soxr

from servers.common.audio import SAMPLE_RATE_HZ, pcm16_to_float
from servers.common.interfaces import Audio

SLICE_BYTES: Final = 32_768
"""At once: 16,384 samples are converted in about 20 us and resampled in about 50, so that nobody waits for a long
message. Even, so that a sample is never cut."""


class Intake:
    """The audio of one stream. The same bytes give the same samples, however they are cut into messages."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._resampler: soxr.ResampleStream | None = None
        if sample_rate_hz != SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        self._odd = b""

    @property
    def has_half_sample(self) -> bool:
        return bool(self._odd)

    def read(self, message: bytes) -> Iterator[Audio]:
        """PCM16 little-endian mono in portions: float32 of shape (n,) each. An odd byte waits for the next message.

        To be read to its end.
        """
        if self._odd:
            message, self._odd = self._odd + message, b""
        whole = len(message) & ~1
        self._odd = message[whole:]
        for start in range(0, whole, SLICE_BYTES):
            samples = pcm16_to_float(message[start : min(start + SLICE_BYTES, whole)])
            yield samples if self._resampler is None else self._resampler.resample_chunk(samples)

    def drop_half_sample(self) -> None:
        """What comes next begins with a whole sample."""
        self._odd = b""

    def drain(self) -> Audio:
        """What the resampler still holds; what comes next is resampled as a new beginning."""
        nothing: Audio = np.zeros(0, np.float32)
        if self._resampler is None:
            return nothing
        rest: Audio = self._resampler.resample_chunk(nothing, last=True)
        self._resampler.clear()
        return rest
