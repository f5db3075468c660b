"""Writes 16 kHz mono samples as .flac, .opus, .mp3 or .wav so that the same samples give the same bytes.

Knows no texts, voices or manifest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import soundfile
import soxr

from samples.sound import Samples

SAMPLE_RATE_HZ: Final = 16000

_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    ".flac": {"subtype": "PCM_16", "compression_level": 1.0},
    ".wav": {"subtype": "PCM_16"},
    ".opus": {"format": "OGG", "subtype": "OPUS", "compression_level": 0.91},  # about 30 kbit/s
    ".mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.6},
}
SUFFIXES: Final = frozenset(_OPTIONS)
_OGG_SERIAL: Final = (0x59415042).to_bytes(4, "little")


def at_16k(samples: Samples, *, sample_rate_hz: int) -> Samples:
    """`samples`, shape (n,), resampled to SAMPLE_RATE_HZ where they have another rate."""
    if sample_rate_hz == SAMPLE_RATE_HZ:
        return samples
    resampled: Samples = soxr.resample(samples, sample_rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    return resampled


def write(path: Path, samples: Samples) -> None:
    """Writes `samples` (SAMPLE_RATE_HZ, mono) in the format of the path's suffix; KeyError for another suffix."""
    soundfile.write(path, samples, SAMPLE_RATE_HZ, **_OPTIONS[path.suffix])
    if path.suffix == ".opus":
        path.write_bytes(_with_fixed_serial(path.read_bytes()))


def _with_fixed_serial(ogg: bytes) -> bytes:
    """The same Ogg stream under a constant serial number: libsndfile draws a new one for each file."""
    pages = bytearray()
    position = 0
    while position < len(ogg):
        segments = ogg[position + 26]
        lacing = ogg[position + 27 : position + 27 + segments]
        end = position + 27 + segments + sum(lacing)
        page = bytearray(ogg[position:end])
        page[14:18] = _OGG_SERIAL
        page[22:26] = bytes(4)
        page[22:26] = _ogg_checksum(page).to_bytes(4, "little")
        pages += page
        position = end
    return bytes(pages)


def _ogg_checksum(page: bytearray) -> int:
    """CRC-32 with polynomial 0x04c11db7, not reflected, starting from 0 (RFC 3533)."""
    checksum = 0
    for byte in page:
        checksum = ((checksum << 8) & 0xFFFFFFFF) ^ _CHECKSUMS[(checksum >> 24) ^ byte]
    return checksum


def _checksum_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = ((value << 1) ^ 0x04C11DB7) & 0xFFFFFFFF if value & 0x80000000 else value << 1
    return value


_CHECKSUMS: Final = tuple(_checksum_of(byte) for byte in range(256))
