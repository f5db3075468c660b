"""One step of NeMo's cache-aware encoder for many streams, each with its caches in a slot.

A chunk's mel frames are subsampled apart from the conformer layers, so that streams that begin, run and end share one
call of the layers: at the start of a stream the subsampling pads with zeros between its layers, as it does when the
whole stream is encoded at once; later it has nine frames of real history in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from servers.common.errors import StartupRefused
from servers.fastconformer.model_graphs import FixedBatches, Record
from servers.fastconformer.model_mel import WARM_FRAMES

HISTORY: Final = 9
"""Mel frames before a chunk that the subsampling needs (`pre_encode_cache_size`)."""
DROPPED: Final = 2
"""Subsampled frames that come of them alone (`drop_extra_pre_encoded`)."""
SUBSAMPLING: Final = 8


@dataclass(frozen=True, slots=True)
class Chunk:
    """One row of a step."""

    slot: int
    frames: int
    """Valid mel frames of it; less than a chunk only at the end of a stream."""
    seen: int
    """Mel frames of the stream before it."""


def subsampled(frames: int) -> int:
    """How many encoder frames the causal striding convolutions make of so many mel frames."""
    for _ in range(3):
        frames = frames // 2 + 1
    return frames


def frames_before(seen: int) -> int:
    """Encoder frames that came of a stream's first `seen` mel frames, which are whole chunks."""
    return (seen + SUBSAMPLING - 1) // SUBSAMPLING


def encoder_frames(chunk: Chunk) -> int:
    """Encoder frames that a chunk has."""
    return subsampled(chunk.seen + chunk.frames) - frames_before(chunk.seen) if chunk.frames else 0


def neighbours(slots: Sequence[int]) -> slice | None:
    """The slots as a slice where they follow one another, as those of a busy server do: nothing need be copied to
    have them together."""
    span = range(slots[0], slots[0] + len(slots))
    return slice(span.start, span.stop) if list(slots) == list(span) else None


def part_of(store: Any, dim: int, index: Any) -> Any:
    """The rows of some slots: a view for a slice, a copy for a tensor of slots."""
    if isinstance(index, slice):
        return store.narrow(dim, index.start, index.stop - index.start)
    return store.index_select(dim, index)


def put_back(store: Any, dim: int, index: Any, rows: Any) -> None:
    """The other way round."""
    if isinstance(index, slice):
        store.narrow(dim, index.start, index.stop - index.start).copy_(rows)
    else:
        store.index_copy_(dim, index, rows)


class Encoder:
    """The encoder and every slot's caches. `slots` is one more than there are seats: the last one pads batches."""

    def __init__(
        self,
        encoder: Any,
        *,
        slots: int,
        dtype: torch.dtype,
        device: torch.device,
        graph_batches: Sequence[int] = (),
        record: Record | None = None,
    ) -> None:
        """`record` makes a call repeatable as a graph at each of `graph_batches`; without it every step is eager.

        Raises StartupRefused for an encoder that streams otherwise than FastConformer's published ones.
        """
        config = encoder.streaming_cfg
        right = encoder.att_context_size[1]
        self.frames_out = right + 1
        self.chunk_frames = SUBSAMPLING * self.frames_out
        found = (
            list(config.chunk_size),
            config.pre_encode_cache_size[1],
            config.drop_extra_pre_encoded,
            config.valid_out_len,
        )
        if found != ([self.chunk_frames - WARM_FRAMES, self.chunk_frames], HISTORY, DROPPED, self.frames_out):
            raise StartupRefused(f"the model's encoder streams in a way that this server does not know: {found}")
        self._encoder, self._dtype, self._device = encoder, dtype, device
        self._mel = torch.zeros(slots, encoder._feat_in, HISTORY, device=device)
        self._channel, self._time, self._length = encoder.get_initial_cache_state(
            batch_size=slots, dtype=dtype, device=device
        )
        self._fixed = (
            FixedBatches(self._compute, graph_batches, record, idle=self._idle_row(), row_dims=(0, 1, 1, 0))
            if record
            else None
        )

    @property
    def graph_batches(self) -> list[int]:
        """Batch sizes that are recorded."""
        return self._fixed.sizes if self._fixed else []

    def forget(self, slots: Sequence[int]) -> None:
        """New streams begin in these slots."""
        index = torch.tensor(slots, device=self._device)
        self._mel[index] = 0.0
        self._channel[:, index] = 0.0
        self._time[:, index] = 0.0
        self._length[index] = 0

    def step(self, mel: Any, chunks: Sequence[Chunk]) -> tuple[Any, Any, Any]:
        """Mel frames of shape (rows, bins, chunk) -> encoded frames (rows, d_model, frames_out), how many of each row
        count (rows,), and what `commit` needs. Changes no slot."""
        numbers = [
            [chunk.slot for chunk in chunks],
            [HISTORY + chunk.frames for chunk in chunks],
            [encoder_frames(chunk) for chunk in chunks],
        ]
        index, lengths, counts = torch.tensor(numbers).to(self._device, non_blocking=True)
        if self._fixed is None:
            index = neighbours(numbers[0]) or index
        joined = torch.cat([part_of(self._mel, 0, index), mel], dim=2)
        signal = joined.transpose(1, 2).to(self._dtype)
        begun, is_begun = self._begin(signal, chunks)
        compute = self._fixed or self._compute
        encoded, channel, time, length = compute(signal, lengths, counts, index, begun, is_begun)
        return encoded, counts, (index, joined[:, :, -HISTORY:], channel, time, length)

    def commit(self, pending: Any) -> None:
        """Let the slots have what the step made of them."""
        index, mel, channel, time, length = pending
        put_back(self._mel, 0, index, mel)
        put_back(self._channel, 1, index, channel)
        put_back(self._time, 1, index, time)
        put_back(self._length, 0, index, length)

    def _compute(
        self, signal: Any, lengths: Any, counts: Any, index: Any, begun: Any, is_begun: Any
    ) -> tuple[Any, ...]:
        """The part of a step whose shapes depend on the number of rows alone: what a graph may hold."""
        embedded, _ = self._encoder.pre_encode(x=signal, lengths=lengths)
        embedded = torch.where(is_begun, begun, embedded[:, DROPPED:])
        encoded, _, channel, time, length = self._encoder.cache_aware_stream_step(
            processed_signal=embedded,
            processed_signal_length=counts,
            cache_last_channel=part_of(self._channel, 1, index),
            cache_last_time=part_of(self._time, 1, index),
            cache_last_channel_len=part_of(self._length, 0, index),
            keep_all_outputs=True,
            bypass_pre_encode=True,
        )
        return encoded, channel, time, length

    def _begin(self, signal: Any, chunks: Sequence[Chunk]) -> tuple[Any, Any]:
        """Embeddings of the rows whose streams begin, from all of their mel frames: there is no history, and none is
        made up. (rows, frames_out, d_model), and which rows they are, (rows, 1, 1)."""
        is_begun = [chunk.seen < HISTORY for chunk in chunks]
        begun = signal.new_zeros(len(chunks), self.frames_out, self._encoder.d_model)
        for seen in {chunk.seen for chunk in chunks if chunk.seen < HISTORY and chunk.frames}:
            rows = [row for row, chunk in enumerate(chunks) if chunk.seen == seen and chunk.frames]
            # The first chunk is WARM_FRAMES short: its columns lie behind those of frames that never were.
            start = HISTORY + WARM_FRAMES if seen == 0 else HISTORY - seen
            lengths = torch.tensor([seen + chunks[row].frames for row in rows], device=self._device)
            embedded, _ = self._encoder.pre_encode(x=signal[rows, start:], lengths=lengths)
            embedded = embedded[:, frames_before(seen) :][:, : self.frames_out]
            begun[rows, : embedded.shape[1]] = embedded
        return begun, torch.tensor(is_begun, device=self._device).view(-1, 1, 1)

    def _idle_row(self) -> tuple[Any, ...]:
        """Inputs of `_compute` for a row that nobody is in: silence, in the last slot."""
        slot = self._mel.shape[0] - 1
        width = HISTORY + self.chunk_frames
        return (
            torch.zeros(1, width, self._mel.shape[1], dtype=self._dtype, device=self._device),
            torch.tensor([width], device=self._device),
            torch.tensor([self.frames_out], device=self._device),
            torch.tensor([slot], device=self._device),
            torch.zeros(1, self.frames_out, self._encoder.d_model, dtype=self._dtype, device=self._device),
            torch.zeros(1, 1, 1, dtype=torch.bool, device=self._device),
        )
