"""Numbers in a MessagePack array to samples, without making a Python object of each.

Clients send 32-bit floats (0xca and four bytes, big-endian), some 64-bit ones (0xcb, eight); arrays of one of these are
read as strided memory, others by msgpack itself. Format: https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from servers.common.errors import BadInput
from servers.common.interfaces import Audio
from servers.kyutai.live.codec import SLICE_SAMPLES

FIELD: Final = "pcm"
FLOATS: Final[dict[int, np.dtype[np.floating[Any]]]] = {0xCA: np.dtype(">f4"), 0xCB: np.dtype(">f8")}
"""By the byte in front of each."""
LONGEST_NUMBER_BYTES: Final = 9
NUMBERS: Final = (int, float)


def array_head(data: bytes, at: int) -> tuple[int, int] | None:
    """Items of the array that begins at `at`, and where the first one lies; None where no array begins."""
    tag = data[at] if at < len(data) else 0
    if tag & 0xF0 == 0x90:
        return tag & 0x0F, at + 1
    if tag == 0xDC and at + 3 <= len(data):
        return int.from_bytes(data[at + 1 : at + 3], "big"), at + 3
    if tag == 0xDD and at + 5 <= len(data):
        return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
    return None


def read_pcm(data: bytes, start: int, end: int) -> Iterator[Audio]:
    """The array in `data[start:end]` as float32 of shape (n,) each, n <= SLICE_SAMPLES.

    Raises BadInput, perhaps after some slices, for what is no array, holds something else than finite numbers, or does
    not end at `end`.
    """
    head = array_head(data, start)
    if head is None:
        raise BadInput("not an array of numbers", field=FIELD)
    left, at = head
    if left > end - at:
        raise BadInput("the message ends within the array", field=FIELD)
    while left:
        size = min(left, SLICE_SAMPLES)
        tag = data[at] if at < end else 0
        dtype = FLOATS.get(tag)
        stride = dtype.itemsize + 1 if dtype is not None else 0
        last = at + size * stride
        # Slices of bytes compare four times as fast as numpy finds the same.
        if stride and last <= end and data[at:last:stride] == bytes((tag,)) * size:
            yield _finite(np.ndarray(size, dtype, data, at + 1, (stride,)))
            at = last
        else:
            samples, at = _mixed(data, at, end, size)
            yield samples
        left -= size
    if at != end:
        raise BadInput("the message goes on behind its end", field="message")


def _finite(values: NDArray[np.floating[Any]]) -> Audio:
    """Shape (n,), as float32."""
    if values.dtype.itemsize == 8:
        with np.errstate(over="ignore"):
            samples: Audio = values.astype(np.float32)
    else:
        samples = values.astype(np.float32)
    if np.isfinite(samples).tobytes() != b"\1" * len(samples):  # half the time of .all()
        raise BadInput("holds NaN or Inf", field=FIELD, limit="finite numbers")
    return samples


def _mixed(data: bytes, at: int, end: int, size: int) -> tuple[Audio, int]:
    """`size` items of any kinds, and where the next one begins."""
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(memoryview(data)[at : min(end, at + size * LONGEST_NUMBER_BYTES)])
    values = []
    try:
        for _ in range(size):
            value = unpacker.unpack()
            if type(value) not in NUMBERS:
                raise BadInput(f"holds something that is no number ({type(value).__name__})", field=FIELD)
            values.append(value)
    except (msgpack.UnpackException, ValueError, TypeError, struct.error):
        raise BadInput("holds something that is no number", field=FIELD) from None
    return _finite(np.array(values, np.float64)), at + unpacker.tell()
