"""From encoded frames to tokens, by either decoder, with what each stream's decoder remembers in its slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from servers.fastconformer.model_nemo import BatchedLabelLoopingState

Tokens = tuple[tuple[int, ...], tuple[int, ...]]
"""New tokens of a stream and the encoder frame of each, counted from the stream's start."""


class Decoder(Protocol):
    """One decoder and every slot's state."""

    def forget(self, slots: Sequence[int]) -> None:
        """New streams begin in these slots."""
        ...

    def step(self, encoded: Any, counts: Any, slots: Sequence[int]) -> tuple[list[Tokens], Any]:
        """Encoded frames (rows, d_model, frames) and how many of each row count -> new tokens of each row, and what
        `commit` needs. Changes no slot."""
        ...

    def commit(self, pending: Any) -> None:
        """Let the slots have what the step made of them."""
        ...


class Rnnt:
    """NeMo's label-looping greedy search (arXiv 2406.06220), continued from step to step."""

    def __init__(self, computer: Any, *, slots: int, device: torch.device) -> None:
        self._computer, self._device = computer, device
        self._start = computer._get_batched_decoding_state_after_sos(device=device, batch_size=1)
        self._predictor = tuple(part.repeat_interleave(slots, dim=1) for part in self._start.predictor_states)
        self._output = self._start.predictor_outputs.repeat_interleave(slots, dim=0)
        self._label = self._start.labels.repeat_interleave(slots, dim=0)
        self._frames = self._start.decoded_lengths.repeat_interleave(slots, dim=0)

    def forget(self, slots: Sequence[int]) -> None:
        index = torch.tensor(slots, device=self._device)
        for store, part in zip(self._predictor, self._start.predictor_states, strict=True):
            store[:, index] = part
        self._output[index] = self._start.predictor_outputs
        self._label[index] = self._start.labels
        self._frames[index] = 0

    def step(self, encoded: Any, counts: Any, slots: Sequence[int]) -> tuple[list[Tokens], Any]:
        index = torch.tensor(slots, device=self._device)
        before = BatchedLabelLoopingState(
            predictor_states=tuple(store[:, index] for store in self._predictor),
            predictor_outputs=self._output[index],
            labels=self._label[index],
            decoded_lengths=self._frames[index],
            fusion_states_list=[],
        )
        found, after = self._computer(x=encoded.transpose(1, 2), out_len=counts, prev_batched_state=before)
        rows = len(slots)
        # Rows of different lengths; one copy brings lengths, tokens and frames to the CPU. A recorded graph has more
        # rows than were asked for.
        lengths = found.current_lengths[:rows].unsqueeze(1)
        together = torch.cat([lengths, found.transcript[:rows], found.timestamps[:rows]], dim=1).cpu()
        width = (together.shape[1] - 1) // 2
        values = together.tolist()
        new = [(tuple(row[1 : 1 + row[0]]), tuple(row[1 + width : 1 + width + row[0]])) for row in values]
        return new, (index, after)

    def commit(self, pending: Any) -> None:
        index, after = pending
        rows = len(index)
        for store, part in zip(self._predictor, after.predictor_states, strict=True):
            store[:, index] = part[:, :rows]
        self._output[index] = after.predictor_outputs[:rows]
        self._label[index] = after.labels[:rows]
        self._frames[index] = after.decoded_lengths[:rows]


class Ctc:
    """Greedy: the best token of each frame, once where it is repeated, blanks left out."""

    def __init__(self, decoder: Any, *, blank: int, slots: int, device: torch.device) -> None:
        self._decoder, self._blank, self._device = decoder, blank, device
        self._last = torch.full((slots,), blank, dtype=torch.long, device=device)
        self._frames = [0] * slots

    def forget(self, slots: Sequence[int]) -> None:
        self._last[torch.tensor(slots, device=self._device)] = self._blank
        for slot in slots:
            self._frames[slot] = 0

    def step(self, encoded: Any, counts: Any, slots: Sequence[int]) -> tuple[list[Tokens], Any]:
        index = torch.tensor(slots, device=self._device)
        best = self._decoder(encoder_output=encoded).argmax(dim=-1)
        last = self._last[index]
        previous = torch.cat([last.unsqueeze(1), best[:, :-1]], dim=1)
        valid = torch.arange(best.shape[1], device=self._device).unsqueeze(0) < counts.unsqueeze(1)
        shown = torch.where(valid & (best != self._blank) & (best != previous), best, -1)
        ends = torch.cat([last.unsqueeze(1), best], dim=1).gather(1, counts.unsqueeze(1)).squeeze(1)
        together = torch.cat([counts.unsqueeze(1), shown], dim=1).cpu().tolist()
        new: list[Tokens] = []
        for slot, (_, *row) in zip(slots, together, strict=True):
            at = [frame for frame, token in enumerate(row) if token >= 0]
            new.append((tuple(row[frame] for frame in at), tuple(self._frames[slot] + frame for frame in at)))
        return new, (index, ends, [(slot, row[0]) for slot, row in zip(slots, together, strict=True)])

    def commit(self, pending: Any) -> None:
        index, ends, counts = pending
        self._last[index] = ends
        for slot, count in counts:
            self._frames[slot] += count
