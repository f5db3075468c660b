"""The native Kyutai wire as moshi-server's own clients use it: a Marker and silence for the end, and no hanging up.

For conversations, and for moshi-server itself, which knows no Flush.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from yapbench.clients.codec import Message, Reader
from yapbench.clients.kyutai import Kyutai, NativeReader, packed

SILENCE_S: Final = 3.2
"""Text trails audio by 0.5 s in one published model, by 2.5 s in the other; a Marker waits for it."""


class KyutaiMarker(Kyutai):
    """`/api/asr-streaming`: an utterance ends with the answer to its Marker, and the stream goes on."""

    keeps_open = True

    def end(self, request_id: str) -> Sequence[Message]:
        silence = np.zeros(round(SILENCE_S * self.sample_rate_hz), np.float32)
        return [packed({"type": "Marker", "id": number_of(request_id)}), self.encode(silence)]

    def reader(self, request_id: str) -> Reader:
        return NativeReader(marker=number_of(request_id))


def number_of(request_id: str) -> int:
    """Of the Marker that ends this utterance."""
    return zlib.crc32(request_id.encode())
