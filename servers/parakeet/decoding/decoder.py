"""A file of any format and rate becomes 16 kHz mono, block by block. What a header claims is not believed.

Channels are averaged. What ends early is taken as far as it goes (a recorder that streams knows no length); what the
decoder itself calls damaged is refused. Long audio lives in a temporary file without a name, never in memory.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final

import numpy as np
import soxr

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.errors import BadInput, TooLarge
from servers.common.interfaces import Audio
from servers.parakeet.decoding.readers import Block, open_blocks

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 192_000
MEMORY_SAMPLES: Final = 120 * SAMPLE_RATE_HZ
"""Longer audio goes to the disk."""
QUICK, SLOW = 4, 2
"""Files decoded at once: those that came in memory, and the large ones, which keep nobody from being quick."""


SMALL_WAV_BYTES: Final = 400_000
"""Ten seconds and some of 16-bit samples at 16 kHz: a thread would take longer to wake than this to read."""


class Abandoned(Exception):
    """Nobody waits for this file any more."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a file may be; `name` is what the operator calls the knob."""

    seconds: float
    name: str

    def check(self, samples: int) -> None:
        """Raises TooLarge."""
        if samples > self.seconds * SAMPLE_RATE_HZ:
            message = f"the audio is longer than {self.seconds:g} s ({self.name})"
            raise TooLarge(message, field="file", limit=self.seconds)


class Decoder:
    """Gives files to a bounded number of threads. One for each event loop."""

    def __init__(self) -> None:
        self._quick, self._slow = asyncio.Semaphore(QUICK), asyncio.Semaphore(SLOW)

    async def decode(self, file: IO[bytes], *, in_memory: bool, limit: Limit) -> Audio:
        """Shape (n,), n >= 1: an array, or a map of a file that goes away with it.

        Raises BadInput (no samples, NaN or Inf, a rate out of range), TooLarge (`limit`) and Unsupported (no decoder
        here knows the format, or the data is damaged). When cancelled, it returns once the thread has let go of `file`.
        """
        if in_memory and _is_small_wav(file):
            return decode(file, limit=limit)
        abandoned = threading.Event()
        async with self._quick if in_memory else self._slow:
            work = asyncio.ensure_future(asyncio.to_thread(decode, file, limit=limit, abandoned=abandoned.is_set))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                abandoned.set()
                await asyncio.wait([work])
                if not work.cancelled():
                    work.exception()  # seen: nobody else will ask
                raise


def decode(file: IO[bytes], *, limit: Limit, abandoned: Callable[[], bool] = lambda: False) -> Audio:
    """As `Decoder.decode`; blocking. Raises Abandoned soon after `abandoned` says so."""
    with open_blocks(file, abandoned) as blocks, _Kept() as kept:
        for samples in _at_16_khz(blocks):
            if abandoned():
                raise Abandoned
            limit.check(kept.samples + len(samples))
            kept.add(samples)
        if not kept.samples:
            raise BadInput("the file holds no audio", field="file", limit="at least one sample")
        return kept.take()


def _is_small_wav(file: IO[bytes]) -> bool:
    size = file.seek(0, 2)
    file.seek(0)
    return size <= SMALL_WAV_BYTES and file.read(4) == b"RIFF"


def _at_16_khz(blocks: Iterator[Block]) -> Iterator[Audio]:
    stream: soxr.ResampleStream | None = None
    for rate_hz, channels in blocks:
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            limit = f"{MIN_RATE_HZ}..{MAX_RATE_HZ} Hz"
            raise BadInput(f"a sample rate of {rate_hz} Hz is not supported", field="file", limit=limit)
        mono = mix(channels)
        if rate_hz == SAMPLE_RATE_HZ:
            yield mono
            continue
        stream = stream or soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        yield stream.resample_chunk(mono)
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def mix(channels: Audio) -> Audio:
    """The mean over channels, shape (n, channels) to (n,); BadInput where a sample is no finite number."""
    mono: Audio
    if channels.shape[1] == 1:
        mono = channels[:, 0]
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            mono = channels.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise BadInput("the file holds samples that are no numbers (NaN or Inf)", field="file", limit="finite samples")
    return mono


class _Kept:
    """Samples as they come: in memory while they are few."""

    def __init__(self) -> None:
        self.samples = 0
        self._blocks: list[Audio] = []
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, samples: Audio) -> None:
        self.samples += len(samples)
        if self._file is None and self.samples > MEMORY_SAMPLES:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed on exit; the map keeps its content)
            for block in self._blocks:
                self._file.write(block.tobytes())
            self._blocks = []
        if self._file is None:
            self._blocks.append(samples)
        else:
            self._file.write(samples.tobytes())

    def take(self) -> Audio:
        if self._file is None:
            return self._blocks[0] if len(self._blocks) == 1 else np.concatenate(self._blocks)
        self._file.flush()
        return np.memmap(self._file, np.float32, mode="r", shape=(self.samples,))
