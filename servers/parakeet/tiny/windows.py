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
        """Those that a path can come through, and few others: (batch, T, U + 1) bool."""
        longest = max(self.durations)
        start, over = torch.zeros_like(self.sizes[:, None]), self.frames[:, None] - 1
        landed = torch.minimum(self.ends[..., 0], self.begins[..., 0] + longest)
        first = torch.cat([start, landed], 1)
        column = torch.arange(first.shape[1])
        last = torch.where(column < self.sizes[:, None], torch.cat([self.begins[..., 1], over], 1), over)
        frame = torch.arange(int(self.frames.max()))[None, :, None]
        real = (column <= self.sizes[:, None])[:, None]
        inside: Tensor = (frame >= first[:, None]) & (frame <= last[:, None]) & real
        return inside

    def allowed(self) -> Tensor:
        """Whether the next piece may be said in a cell with a duration: (batch, T, U + 1, durations) bool."""
        frame = torch.arange(int(self.frames.max()))[None, :, None, None]
        (begin, begin_by), (end, end_by) = (each[:, None, :, None].unbind(-1) for each in (self.begins, self.ends))
        lasting = torch.tensor(self.durations)
        landed = frame + lasting
        reached = (landed >= end) | (lasting == max(self.durations))
        inside = (frame >= begin) & (frame <= begin_by) & reached & (landed <= end_by)
        whole: Tensor = torch.nn.functional.pad(inside, (0, 0, 0, 1), value=False)
        return whole


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
