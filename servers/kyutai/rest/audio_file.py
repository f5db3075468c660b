"""A file that libsndfile knows becomes 24 kHz mono, block by block. What its header claims is not believed.

Channels are averaged. What ends early is taken as far as it goes; what the decoder itself calls damaged is refused.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import IO, Final

import numpy as np
import soundfile
import soxr

from servers.common.errors import BadInput, TooLarge, Unsupported
from servers.common.interfaces import Audio
from servers.common.sound_file import SoundFile
from servers.kyutai.settings import SAMPLE_RATE_HZ

BLOCK_SAMPLES: Final = 1 << 16
"""Of all channels together: a header may claim a thousand of them."""
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000
FIELD: Final = "body"


def read_audio(file: IO[bytes], *, limit_s: float) -> Generator[Audio]:
    """float32 of shape (n,) each, at 24 kHz; blocking.

    Raises Unsupported (libsndfile does not know the format, or the data is damaged), BadInput (a rate out of range,
    NaN or Inf) and TooLarge (more than `limit_s`).
    """
    read = 0
    for block in _at_24_khz(file):
        if not np.isfinite(block).all():
            raise BadInput("the file holds samples that are no numbers (NaN or Inf)", field=FIELD)
        read += len(block)
        if read > limit_s * SAMPLE_RATE_HZ:
            raise TooLarge("the audio is too long (KYUTAI_MAX_FILE_S)", field=FIELD, limit=f"{limit_s:g} s")
        yield block


def _at_24_khz(file: IO[bytes]) -> Iterator[Audio]:
    try:
        with SoundFile(file) as sound:
            rate_hz = sound.samplerate
            if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
                limit = f"{MIN_RATE_HZ}..{MAX_RATE_HZ} Hz"
                raise BadInput(f"a sample rate of {rate_hz} Hz is not supported", field=FIELD, limit=limit)
            if rate_hz == SAMPLE_RATE_HZ:
                yield from _mono(sound)
                return
            stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
            for block in _mono(sound):
                yield stream.resample_chunk(block)
            yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip().rstrip(".")
        raise Unsupported(f"not audio that this server can read: {reason}", field=FIELD) from None


def _mono(sound: SoundFile) -> Iterator[Audio]:
    for block in sound.forward(BLOCK_SAMPLES):
        with np.errstate(invalid="ignore", over="ignore"):
            mono: Audio = block.mean(axis=1, dtype=np.float32)
        yield mono
