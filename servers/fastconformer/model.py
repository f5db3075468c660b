"""The engine: many streams, each in a slot, all of them in one step of NeMo's FastConformer.

A step takes one chunk of (look-ahead + 80 ms) of each stream that has one, wherever that stream stands: at its first
chunk, in its middle or at its end. What comes out is what the model gives for the whole stream at once (its masked
forward), token for token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.interfaces import Frame
from servers.fastconformer.heard import Heard, text_of
from servers.fastconformer.model_decode import Decoder
from servers.fastconformer.model_encoder import Chunk, Encoder
from servers.fastconformer.model_mel import WARM_FRAMES, Mel


class FastConformer:
    """A StreamingRecognizer[Heard]. Not thread-safe: made, stepped and dropped in one thread."""

    sample_rate_hz = SAMPLE_RATE_HZ
    flush_samples = 0
    """None beside what fills the chunk: with 160 and 640 ms more tiny made as many word errors (RNNT, 32 sentences)."""

    def __init__(
        self,
        *,
        mel: Mel,
        encoder: Encoder,
        decoder: Decoder,
        pieces: Sequence[str],
        slots: int,
        status: Mapping[str, Any],
    ) -> None:
        """`pieces`: the tokenizer's, by token. `status`: what /status shall say of the model."""
        self.slots = slots
        self._mel, self._encoder, self._decoder = mel, encoder, decoder
        self._pieces, self._status = tuple(pieces), dict(status)
        self._kept: NDArray[np.float32] = np.zeros((slots, mel.kept_samples), np.float32)
        self._seen = [0] * slots

    def samples_wanted(self, *, first: bool) -> int:
        return self._mel.samples_wanted(first=first)

    def status(self) -> Mapping[str, Any]:
        return self._status

    def step(self, frames: Sequence[Frame]) -> list[Heard]:
        """What each frame brought. Raises ValueError for a slot that comes twice or holds no stream, and for
        a number of samples that was not wanted."""
        self._check(frames)
        with torch.inference_mode():
            return self._step(frames)

    def warm(self, batch_sizes: Sequence[int]) -> None:
        """Run steps of these sizes, so that the first stream does not wait for what a runtime does only once."""
        for size in batch_sizes:
            for first in (True, False):
                silence = np.zeros(self.samples_wanted(first=first), np.float32)
                self.step([Frame(slot, silence, first=first) for slot in range(min(size, self.slots))])

    def _step(self, frames: Sequence[Frame]) -> list[Heard]:
        new = [frame.slot for frame in frames if frame.first]
        if new:
            self._encoder.forget(new)
            self._decoder.forget(new)
            self._kept[new] = 0.0
            for slot in new:
                self._seen[slot] = 0
        chunks = [self._chunk(frame) for frame in frames]
        windows, lengths = self._windows(frames, chunks)
        encoded, counts, caches = self._encoder.step(self._mel.compute(windows, lengths), chunks)
        tokens, pending = self._decoder.step(encoded, counts, [frame.slot for frame in frames])
        # Nothing has been changed up to here: a step that failed may be tried again, row by row.
        self._encoder.commit(caches)
        self._decoder.commit(pending)
        for window, chunk in zip(windows, chunks, strict=True):
            self._kept[chunk.slot] = window[-self._mel.kept_samples :]
            self._seen[chunk.slot] += chunk.frames
        return [self._heard(*row) for row in tokens]

    def _check(self, frames: Sequence[Frame]) -> None:
        if len({frame.slot for frame in frames}) != len(frames):
            raise ValueError("a slot comes twice in one step")
        for frame in frames:
            wanted = self.samples_wanted(first=frame.first)
            if len(frame.samples) > wanted or (len(frame.samples) < wanted and not frame.last):
                raise ValueError(f"a frame of {len(frame.samples)} samples, wanted are {wanted}")
            if not frame.first and not self._seen[frame.slot]:
                raise ValueError(f"no stream has begun in slot {frame.slot}")

    def _chunk(self, frame: Frame) -> Chunk:
        if len(frame.samples) == self.samples_wanted(first=frame.first):
            count = self._mel.chunk_frames - (WARM_FRAMES if frame.first else 0)
        else:
            count = self._mel.frames_at_end(len(frame.samples), first=frame.first)
        return Chunk(frame.slot, count, self._seen[frame.slot])

    def _windows(self, frames: Sequence[Frame], chunks: Sequence[Chunk]) -> tuple[NDArray[np.float32], list[int]]:
        """What a slot kept, then its new samples; those of a first chunk at the end of what it would have kept."""
        windows = np.zeros((len(frames), self._mel.width), np.float32)
        lengths = []
        for row, (frame, chunk) in enumerate(zip(frames, chunks, strict=True)):
            start = self._mel.width - self.samples_wanted(first=frame.first)
            if not frame.first:
                windows[row, :start] = self._kept[chunk.slot]
            windows[row, start : start + len(frame.samples)] = frame.samples
            lengths.append(start + len(frame.samples))
        return windows, lengths

    def _heard(self, tokens: tuple[int, ...], frames: tuple[int, ...]) -> Heard:
        if not tokens:
            return _NOTHING
        return Heard(tokens, frames, text_of(tuple(self._pieces[token] for token in tokens)))


_NOTHING: Final = Heard()
