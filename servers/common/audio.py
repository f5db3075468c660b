"""Samples in and out: 16-bit PCM to float and back, usual rates to 16 kHz. Knows no file format, no model."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from servers.common.errors import BadInput
from servers.common.interfaces import Audio

SAMPLE_RATE_HZ = 16_000
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 48_000
_RATE_LIMIT = f"{MIN_RATE_HZ}..{MAX_RATE_HZ}"
_FULL_SCALE = 32_768.0


def read_sample_rate(text: str | None, *, field: str = "X-Sample-Rate") -> int:
    """The rate in Hz that a client names, 16000 when it names none; BadInput outside 8000..48000."""
    if text is None:
        return SAMPLE_RATE_HZ
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 6):
        raise BadInput("the sample rate is not a whole number of Hz", field=field, limit=_RATE_LIMIT)
    return check_sample_rate(int(digits), field=field)


def check_sample_rate(rate_hz: int, *, field: str = "sample_rate") -> int:
    """The rate itself, or BadInput outside 8000..48000."""
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise BadInput(f"a sample rate of {rate_hz} Hz is not supported", field=field, limit=_RATE_LIMIT)
    return rate_hz


def resample(audio: Audio, *, from_hz: int, to_hz: int = SAMPLE_RATE_HZ) -> Audio:
    """Mono float32 of shape (n,) at another rate (soxr HQ); the same array when nothing is to be done.

    Raises BadInput when `from_hz` is outside 8000..48000.
    """
    check_sample_rate(from_hz)
    if from_hz == to_hz:
        return audio
    converted: Audio = soxr.resample(audio, from_hz, to_hz, quality="HQ").astype(np.float32, copy=False)
    return converted


def pcm16_to_float(data: bytes) -> Audio:
    """Little-endian 16-bit mono to float32 of shape (n,) in [-1, 1); BadInput on half a sample."""
    if len(data) % 2:
        raise BadInput("16-bit PCM has an even number of bytes", field="audio", limit="2 bytes a sample")
    samples: Audio = np.frombuffer(data, dtype="<i2").astype(np.float32)
    samples /= np.float32(_FULL_SCALE)
    return samples


def float_to_pcm16(audio: Audio) -> bytes:
    """float32 of shape (n,), nominally [-1, 1], to little-endian 16-bit; louder samples are clipped."""
    scaled: NDArray[np.float32] = np.clip(np.rint(audio * np.float32(_FULL_SCALE)), -32_768, 32_767)
    return scaled.astype("<i2").tobytes()
