"""A lesson beside the text: which word is being spoken in each frame of the encoder, and how soon it ends.

The linear ears are thrown away after the training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from samples.lessons.batches import Batch
from samples.lessons.frames import NOT_ASKED, labels, remaining
from samples.pool import tiny_vocabulary


class Hearing(nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """Two linear ears on the encoder's frames, for words and for ends up to `most` frames away."""

    def __init__(self, width: int, *, most: int) -> None:
        super().__init__()
        self.most = most
        self.words = nn.Linear(width, len(tiny_vocabulary()) + 1)
        self.ends = nn.Linear(width, most + 1)

    def forward(self, encoded: Tensor, frames: Tensor, batch: Batch) -> Tensor:
        """Cross entropies, mean over frames, of `encoded` (batch, width, T), of which `frames` (batch,) are real."""
        encoded = encoded.transpose(1, 2)
        words, ends = torch.full((2, *encoded.shape[:2]), NOT_ASKED)
        for row, count in enumerate(frames.tolist()):
            words[row, :count] = torch.from_numpy(labels(batch.texts[row], batch.spans[row], count))
            ends[row, :count] = torch.from_numpy(remaining(batch.spans[row], count, most=self.most))
        return self._asked(self.words(encoded), words) + self._asked(self.ends(encoded), ends)

    @staticmethod
    def _asked(heard: Tensor, wanted: Tensor) -> Tensor:
        count = (wanted != NOT_ASKED).sum().clamp(min=1)
        together = nn.functional.cross_entropy(
            heard.flatten(0, 1), wanted.flatten(), ignore_index=NOT_ASKED, reduction="sum"
        )
        return together / count
