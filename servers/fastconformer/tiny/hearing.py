"""The first lesson: which word is being spoken in each frame of the encoder.

A text says nothing of when its words come, and a small network needs many minutes to find that out; the synthesiser
knows. The linear ear is thrown away after the training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samples.lessons.batches import Batch
from samples.lessons.frames import NOT_ASKED, labels
from samples.pool import tiny_vocabulary


class Hearing(nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """A linear ear on the encoder's frames."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ear = nn.Linear(width, len(tiny_vocabulary()) + 1)

    def forward(self, encoded: Tensor, frames: Tensor, batch: Batch) -> Tensor:
        """Cross entropy, mean over frames, of `encoded` (batch, width, T), of which `frames` (batch,) are real."""
        heard = self.ear(encoded.transpose(1, 2))
        asked = torch.full(heard.shape[:2], NOT_ASKED)
        for row, count in enumerate(frames.tolist()):
            asked[row, :count] = torch.from_numpy(labels(batch.texts[row], batch.spans[row], count))
        return nn.functional.cross_entropy(heard.flatten(0, 1), asked.flatten(), ignore_index=NOT_ASKED)
