"""The part of the lattice that alignment.py leaves: which of its cells can be reached, and where a piece may begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from servers.parakeet.tiny import alignment


@dataclass(frozen=True)
class Windows:
    """The frames in which each piece may begin, and those in which it may end: first and last, each (batch, U, 2).

    A piece ends in the frame where the network listens next. One whose window of ends is out of reach even with the
    longest duration takes that duration.
    """

    begins: Tensor
    ends: Tensor
    frames: Tensor
    sizes: Tensor
    durations: Sequence[int]

    def cells(self) -> Tensor:
        """Those that a path can come through, whatever its pieces last: (batch, T, U + 1) bool."""
        start, over = torch.zeros_like(self.sizes[:, None]), self.frames[:, None] - 1
        first = torch.cat([start, self.begins[..., 0]], 1)
        column = torch.arange(first.shape[1])
        last = torch.where(column < self.sizes[:, None], torch.cat([self.begins[..., 1], over], 1), over)
        frame = torch.arange(int(self.frames.max()))[None, :, None]
        real = (column <= self.sizes[:, None])[:, None]
        inside: Tensor = (frame >= first[:, None]) & (frame <= last[:, None]) & real
        return inside

    def begun(self) -> Tensor:
        """Whether the next piece may be said in a cell: (batch, T, U + 1) bool."""
        frame = torch.arange(int(self.frames.max()))[None, :, None]
        begin, begin_by = self.begins[:, None].unbind(-1)
        return _no_more((frame >= begin) & (frame <= begin_by))

    def ended(self) -> Tensor:
        """Whether it may last so long: (batch, T, U + 1, durations) bool."""
        lasting = torch.tensor(self.durations)
        landed = torch.arange(int(self.frames.max()))[None, :, None, None] + lasting
        end, end_by = self.ends[:, None, :, None].unbind(-1)
        return _no_more(((landed >= end) | (lasting == max(self.durations))) & (landed <= end_by), axes=1)


def _no_more(cells: Tensor, *, axes: int = 0) -> Tensor:
    """After the last piece no other; its axis has so many `axes` behind it."""
    padded: Tensor = torch.nn.functional.pad(cells, (*(0, 0) * axes, 0, 1), value=False)
    return padded


def windows(
    spans: Sequence[NDArray[np.float32]],
    pieces: Sequence[Sequence[int]],
    frames: Tensor,
    *,
    durations: Sequence[int],
) -> Windows:
    """From when the words of each clip are spoken, in seconds, (words, 2), and how many pieces each word has."""
    sizes = torch.tensor([sum(clip) for clip in pieces])
    begins, ends = torch.zeros(2, len(pieces), max(1, int(sizes.max())), 2, dtype=torch.int64)
    for row, (span, counts, count) in enumerate(zip(spans, pieces, frames.tolist(), strict=True)):
        begin, end = alignment.windows(span, counts, count, longest=max(durations))
        begins[row, : len(begin)], ends[row, : len(end)] = torch.from_numpy(begin), torch.from_numpy(end)
    return Windows(begins, ends, frames, sizes, durations)
