"""The transducer loss in plain torch, one anti-diagonal of the lattice at a time.

NeMo's own losses want a GPU or take a second a batch on a CPU; this one takes hundredths. Same values and gradients.
Sources: Graves, arXiv 1211.3711 (the loss); Yu et al., arXiv 2010.11148 (FastEmit).
"""

from __future__ import annotations

import torch
from torch import Tensor

NEVER = -1e30
"""Log-probability of what cannot be; finite, so that its gradient is 0 and not NaN."""


def transducer_loss(
    log_probs: Tensor, targets: Tensor, frames: Tensor, sizes: Tensor, *, blank: int, fast_emit: float = 0.0
) -> Tensor:
    """Negative log-likelihood of each target, shape (batch,), in nats.

    log_probs (batch, T, U + 1, symbols), normalised over symbols; targets (batch, U) int64; frames and sizes (batch,):
    how many of T and U are real. `fast_emit` makes the gradient of every emission larger by that share, so that
    tokens come early; the value stays the same.
    """
    batch, most_frames, columns, _ = log_probs.shape
    wait = log_probs[..., blank]
    index = targets[:, None, :, None].expand(batch, most_frames, columns - 1, 1)
    emit = log_probs[:, :, :-1].gather(3, index).squeeze(3)
    if fast_emit:
        emit = emit + fast_emit * (emit - emit.detach())
    diagonals = most_frames + columns - 1
    wait, emit = skewed(wait, diagonals), skewed(emit, diagonals)

    column = torch.arange(columns)
    reached = torch.full((batch, columns), NEVER)
    reached = torch.where(column == 0, torch.zeros(()), reached)
    along = [reached]
    for diagonal in range(1, diagonals):
        stayed = reached + wait[:, diagonal - 1]
        spoke = torch.nn.functional.pad((reached[:, :-1] + emit[:, diagonal - 1]), (1, 0), value=NEVER)
        # Of a cell beyond the first or last frame nothing real may come.
        frame = diagonal - column
        inside = (frame >= 0) & (frame < most_frames)
        from_before = torch.where(frame >= 1, stayed, NEVER)
        reached = torch.where(inside, torch.logaddexp(from_before, spoke), NEVER)
        along.append(reached)
    lattice = torch.stack(along, 1)
    row = torch.arange(batch)
    last = frames - 1 + sizes
    return -(lattice[row, last, sizes] + wait[row, last, sizes])


def skewed(values: Tensor, diagonals: int) -> Tensor:
    """(batch, T, columns) by diagonal t + u instead of frame t, shape (batch, diagonals, columns); elsewhere NEVER."""
    batch, frames, columns = values.shape
    frame = torch.arange(diagonals)[:, None] - torch.arange(columns)[None]
    index = frame.clamp(0, frames - 1).expand(batch, diagonals, columns)
    return torch.where((frame >= 0) & (frame < frames), values.gather(1, index), NEVER)
