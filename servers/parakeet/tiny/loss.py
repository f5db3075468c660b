"""The TDT loss in plain torch, forwards and backwards through the lattice, one anti-diagonal at a time.

NeMo's own is for a GPU, or takes seconds a clip. Same values and gradients. Knows nothing of networks.
Sources: Xu et al., arXiv 2304.06795 (token-and-duration transducers); Graves, arXiv 1211.3711, section 2.4 (gradient).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

NEVER = -1e30
"""Log-probability of what cannot be; finite, so that sums of it are numbers."""


def tdt_loss(waits: Tensor, speaks: Tensor, frames: Tensor, sizes: Tensor, *, durations: Sequence[int]) -> Tensor:
    """Negative log-likelihood of each target, shape (batch,), in nats; about -NEVER where there is no path.

    waits and speaks (batch, T, U + 1, durations): log-probabilities of each arc, of a blank and of the next piece (with
    NeMo's sigma already taken off), NEVER where there is none; frames and sizes (batch,): how many of T and U are real.
    A path begins in frame 0 and is over when a blank leads to the frame behind the last one. A blank lasts a frame at
    least.
    """
    most_frames, columns = waits.shape[1:3]
    frame, lasting = torch.arange(most_frames)[:, None], torch.tensor(durations)
    # A piece may not lead out of the clip.
    out = (frame + lasting >= frames[:, None, None])[:, :, None]
    speaks = speaks.masked_fill(out, NEVER)
    waits = waits[..., [at for at, duration in enumerate(durations) if duration]]
    ahead = [duration for duration in durations if duration], [duration + 1 for duration in durations]
    diagonals = most_frames + columns
    found: Tensor = _Likelihood.apply(skewed(waits, diagonals), skewed(speaks, diagonals), frames, sizes, *ahead)
    return -found


def skewed(values: Tensor, diagonals: int) -> Tensor:
    """(batch, T, columns, n) by diagonal t + u instead of frame t, (diagonals, n, batch, columns); elsewhere NEVER."""
    batch, frames, columns, count = values.shape
    frame = (torch.arange(diagonals)[:, None] - torch.arange(columns))[..., None]
    index = frame.clamp(0, frames - 1).expand(batch, diagonals, columns, count)
    return torch.where((frame >= 0) & (frame < frames), values.gather(1, index), NEVER).permute(1, 3, 0, 2)


class _Likelihood(torch.autograd.Function):  # type: ignore[misc]  # torch is not there where types are checked
    """Log-likelihood from skewed arcs; its gradient is each arc's share of all paths, found without a graph."""

    @staticmethod
    def forward(
        ctx: Any, waits: Tensor, speaks: Tensor, frames: Tensor, sizes: Tensor, wait: list[int], speak: list[int]
    ) -> Tensor:
        diagonals, _, batch, columns = waits.shape
        room = max(speak)
        at_wait, at_speak = torch.tensor(wait), torch.tensor(speak)
        # What leads to each cell, with room before the first diagonal; what leads from it, with room behind the last.
        came = waits.new_full((diagonals + room, batch, columns), NEVER)
        goes = came.clone()
        came[room, :, 0] = 0.0
        into_wait, into_speak = later(waits, wait), pad(later(speaks, speak)[..., :-1], (1, 0), value=NEVER)
        for diagonal in range(1, diagonals):
            row = diagonal + room
            waited = came[row - at_wait] + into_wait[diagonal]
            spoke = pad(came[row - at_speak][..., :-1], (1, 0), value=NEVER) + into_speak[diagonal]
            came[row] = torch.logsumexp(torch.cat([waited, spoke]), 0).clamp(min=NEVER)
        end = frames + sizes, torch.arange(batch), sizes
        for diagonal in range(diagonals - 1, -1, -1):
            waited = goes[diagonal + at_wait] + waits[diagonal]
            spoke = pad(goes[diagonal + at_speak][..., 1:], (0, 1), value=NEVER) + speaks[diagonal]
            goes[diagonal] = torch.logsumexp(torch.cat([waited, spoke]), 0).clamp(min=NEVER)
            here = end[0] == diagonal
            goes[diagonal, end[1][here], end[2][here]] = 0.0
        whole = goes[0, :, 0].clone()
        came = came[room:]
        onward = torch.stack([goes[ahead : ahead + diagonals] for ahead in wait], 1)
        spoken = torch.stack([goes[ahead : ahead + diagonals] for ahead in speak], 1)
        spoken = pad(spoken[..., 1:], (0, 1), value=NEVER)
        before = came[:, None] - whole[:, None]
        ctx.save_for_backward((before + waits + onward).exp(), (before + speaks + spoken).exp())
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        waits, speaks = ctx.saved_tensors
        return waits * gradient[:, None], speaks * gradient[:, None], None, None, None, None


def later(values: Tensor, steps: Sequence[int]) -> Tensor:
    """(diagonals, n, ...): the nth of them so many diagonals later."""
    moved = [torch.roll(values[:, at], step, 0) for at, step in enumerate(steps)]
    for one, step in zip(moved, steps, strict=True):
        one[:step] = NEVER
    return torch.stack(moved, 1)
