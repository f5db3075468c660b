"""The wire format of POST /raw: np.save bytes in, probability out. Strict, without a copy, without eval.

One narrow form of the npy format is taken (version 1.0, little-endian float32, one dimension); anything else
is refused with the reason and never reaches the queue. Knows nothing of HTTP or of a model.
"""

from __future__ import annotations

import re
from typing import TypedDict

import numpy as np

from servers.common.batching import Answer
from servers.common.errors import BadInput
from servers.common.interfaces import Audio

MAGIC = b"\x93NUMPY"
PREFIX_BYTES = len(MAGIC) + 4
"""Magic, two version bytes, header length as little-endian u16."""

MAX_HEADER_BYTES = 256
"""np.save writes 118 for one dimension; other writers less."""

MAX_MAGNITUDE = 2.0**31
"""Of one sample. Speech lies within 1; 32-bit PCM that somebody forgot to scale down still gets its right
answer, because the models normalise. Far beyond (1e30) their squares overflow float32."""

_HEADER = re.compile(rb"\{'descr': '<f4', 'fortran_order': (?:False|True), 'shape': \(([1-9]\d{0,9}),\), \} *\n")
_DESCR = re.compile(rb"'descr': ('[^']{0,40}'|\[)")
_SHAPE = re.compile(rb"'shape': \(([\d, -]{0,60})\)")


class Metrics(TypedDict):
    """Seconds, and the size of the batch that the request was answered in."""

    inference_time: float
    total_time: float
    queue_time: float
    batch_size: int


class Reply(TypedDict):
    """The JSON answer."""

    prediction: int
    probability: float
    metrics: Metrics


def parse(body: bytes) -> Audio:
    """The samples in `body`: a read-only view, shape (n,), n >= 1, all finite and within MAX_MAGNITUDE.

    Raises BadInput for anything else; its `field` is the part of the format that is wrong.
    """
    header, start = _split(body)
    match = _HEADER.fullmatch(header)
    if match is None:
        raise _explain(header)
    count, held = int(match[1]), len(body) - start
    if held != 4 * count:
        kind = "truncated" if held < 4 * count else "followed by other bytes"
        message = f"the data is {kind}: {count} samples take {4 * count} bytes, not {held}"
        raise BadInput(message, field="data", limit=4 * count)
    samples = np.frombuffer(body, "<f4", count, start)
    _check_samples(samples)
    return samples


def build_reply(answer: Answer[float], *, threshold: float, received_s: float, sent_s: float) -> Reply:
    """The JSON answer of one request; the stamps are seconds of the batcher's clock."""
    return {
        "prediction": int(answer.value > threshold),
        "probability": answer.value,
        "metrics": {
            "inference_time": answer.inference_s,
            "total_time": sent_s - received_s,
            "queue_time": answer.queue_s,
            "batch_size": answer.batch_size,
        },
    }


def _split(body: bytes) -> tuple[bytes, int]:
    """The header and where the data begins."""
    if not body:
        raise BadInput("the body is empty: np.save bytes are expected", field="body")
    if body[: len(MAGIC)] != MAGIC:
        hint = next((f"; this looks like {name}" for start, name in _FOREIGN if body.startswith(start)), "")
        raise BadInput(f"the body is not the output of np.save{hint}", field="magic")
    version = tuple(body[len(MAGIC) : len(MAGIC) + 2])
    if version != (1, 0):
        raise BadInput("the npy format version must be 1.0", field="version", limit="1.0")
    size = int.from_bytes(body[PREFIX_BYTES - 2 : PREFIX_BYTES], "little")
    if size > MAX_HEADER_BYTES:
        raise BadInput(f"the npy header has {size} bytes", field="header", limit=MAX_HEADER_BYTES)
    start = PREFIX_BYTES + size
    if len(body) < start:
        raise BadInput("the body ends inside the npy header", field="header")
    return body[PREFIX_BYTES:start], start


_FOREIGN = (
    (b"PK\x03\x04", "an npz or zip archive; send one array by np.save"),
    (b"RIFF", "a WAV file; send its samples by np.save"),
    (b"OggS", "an Ogg file; send its samples by np.save"),
    (b"fLaC", "a FLAC file; send its samples by np.save"),
    (b"\x80", "a pickle"),
    (b"{", "JSON"),
)


def _explain(header: bytes) -> BadInput:
    """Which part of a header is not as it must be."""
    descr, shape = _DESCR.search(header), _SHAPE.search(header)
    if descr and descr[1] != b"'<f4'":
        found = "a structured type" if descr[1] == b"[" else descr[1].decode("ascii", "replace")
        return BadInput(f"the samples are {found}, not little-endian float32", field="descr", limit="<f4")
    if shape and not re.fullmatch(rb"\d+,", shape[1]):
        found = f"({shape[1].decode('ascii')})"
        return BadInput(f"the array must have one dimension, not shape {found}", field="shape", limit="(n,)")
    if shape and shape[1].startswith(b"0"):
        return BadInput("the array has no samples", field="shape", limit="(n,) with n >= 1")
    if shape and len(shape[1]) > 11:
        return BadInput("the array claims more samples than a body can hold", field="shape")
    return BadInput("the npy header is malformed", field="header")


def _check_samples(samples: Audio) -> None:
    # One pass in nearly all cases: NaN and infinity make the sum of squares NaN or infinite, and a small sum
    # leaves no room for a large sample. Only a loud or spoilt array is looked at sample by sample.
    with np.errstate(over="ignore", invalid="ignore"):
        energy = float(np.dot(samples, samples))
    if energy < MAX_MAGNITUDE**2 / 4:
        return
    if not np.isfinite(samples).all():
        raise BadInput("the samples contain NaN or infinity", field="data")
    if max(float(samples.max()), -float(samples.min())) > MAX_MAGNITUDE:
        message = "samples are floats around [-1, 1]; one is beyond any PCM scale"
        raise BadInput(message, field="data", limit=MAX_MAGNITUDE)
