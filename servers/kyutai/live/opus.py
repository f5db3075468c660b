"""Ogg/Opus as it comes to samples at 24 kHz, by sphn, which is looked for when the first of it comes.

sphn: https://github.com/kyutai-labs/sphn. It decodes what each portion completes, in the calling thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Final

import msgpack
import numpy as np

from servers.common.errors import BadInput, TooLarge, Unsupported
from servers.common.interfaces import Audio
from servers.kyutai.live.pcm import array_head
from servers.kyutai.settings import SAMPLE_RATE_HZ

FIELD: Final = "data"
MAX_BYTES: Final = 1 << 20
"""Of one message: four minutes and some at 32 kbit/s."""
SLICE_BYTES: Final = 2048
"""Decoded at once: half a second of speech, half a millisecond."""


def read_data(message: bytes, start: int, end: int) -> bytes:
    """The bytes of `message[start:end]`, packed as bytes or as an array of whole numbers, which is how moshi-server
    itself would. Raises BadInput or TooLarge."""
    head = array_head(message, start)
    if (head[0] if head else end - start) > MAX_BYTES:
        raise TooLarge("too much in one message", field=FIELD, limit=f"{MAX_BYTES} bytes")
    try:
        value = msgpack.unpackb(memoryview(message)[start:end], strict_map_key=False)
        if isinstance(value, list | bytes):
            return bytes(value)
    except (TypeError, ValueError):
        pass
    raise BadInput("neither bytes nor an array of numbers 0..255", field=FIELD)


class Opus:
    """One stream's decoder; costs nothing before its first bytes."""

    def __init__(self) -> None:
        self._reader: Any = None

    def decode(self, data: bytes) -> Iterator[Audio]:
        """float32 of shape (n,) each. Raises BadInput for what is no Ogg/Opus, Unsupported where sphn is missing."""
        if self._reader is None:
            self._reader = _open()
        for start in range(0, len(data), SLICE_BYTES):
            try:
                samples = self._reader.append_bytes(data[start : start + SLICE_BYTES])
            except (ValueError, RuntimeError, OSError) as error:
                raise BadInput(f"no Ogg/Opus: {error}", field=FIELD) from None
            if len(samples):
                yield np.ascontiguousarray(samples, np.float32)


def _open() -> Any:
    try:
        sphn = importlib.import_module("sphn")
    except ImportError:
        raise Unsupported("OggOpus needs the package sphn, which this server lacks", field="type") from None
    return sphn.OpusStreamReader(SAMPLE_RATE_HZ)
