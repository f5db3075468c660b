"""How long each token lasts and how probable it was: one pass of decoder and joint over what the search has found.

NeMo 3.0.0's search can keep both on its way. But without CUDA graphs (`torch_impl` in
parts/submodules/transducer_decoding/tdt_label_looping.py) a token's duration is overwritten while other rows of the
batch look for their next token, so that word ends depend on the batch; and a probability at each of its many small
steps costs more than all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from servers.parakeet.model_words import Token


class Scorer:
    """For one model."""

    def __init__(self, decoder: Any, joint: Any, *, blank: int, durations: Sequence[int], device: torch.device) -> None:
        """`blank`: its number. `durations`: in frames, of the joint's last outputs; none: every token has one frame."""
        self._decoder, self._joint, self._blank = decoder, joint, blank
        self._durations = torch.tensor(list(durations), device=device) if durations else None

    def score(self, encoded: Any, hypotheses: Any) -> list[list[Token]]:
        """The tokens of each row. `encoded`: (rows, d_model, frames); `hypotheses`: NeMo's BatchedHyps, which may have
        more rows than were asked for, and more columns than are used."""
        rows = len(encoded)
        counts = hypotheses.current_lengths[:rows].tolist()
        if not (width := max(counts)):
            return [[] for _ in counts]
        numbers, frames = hypotheses.transcript[:rows, :width], hypotheses.timestamps[:rows, :width]
        spans, chances = self._outputs(encoded, numbers, frames)
        whole = torch.stack([numbers, frames, spans]).tolist()
        columns = (*whole, chances.tolist())
        return [
            [Token(*each) for each in zip(*(column[row][:count] for column in columns), strict=True)]
            for row, count in enumerate(counts)
        ]

    def _outputs(self, encoded: Any, numbers: Any, frames: Any) -> tuple[Any, Any]:
        """(rows, width) durations and confidences. What lies behind a row's last token has values without meaning."""
        rows, width = numbers.shape
        heard, _ = self._decoder.predict(numbers[:, :-1], state=None, add_sos=True, batch_size=rows)
        frames = frames.clamp(max=encoded.shape[2] - 1)  # behind a row's last token the search leaves others
        index = frames.unsqueeze(2).expand(-1, -1, encoded.shape[1])
        seen = encoded.transpose(1, 2).gather(1, index)
        scores = self._joint.joint_after_projection(
            self._joint.project_encoder(seen).flatten(0, 1).unsqueeze(1),
            self._joint.project_prednet(heard).flatten(0, 1).unsqueeze(1),
        ).view(rows, width, -1)
        size = self._blank + 1
        best = scores[..., :size].float().log_softmax(-1).max(-1).values.exp()
        # NeMo's max_prob: 0 where all are equally probable. Rounding may bring it outside [0, 1].
        chances = ((best * size - 1) / (size - 1)).clamp(0.0, 1.0)
        if self._durations is None:
            return torch.ones_like(numbers), chances
        return self._durations[scores[..., size:].argmax(-1)], chances
