"""One step of codec, language model and heads, and all that the rows remember between two of them.

A row's state is its rings, what its convolutions kept, and its last token (and codes, with moshi's timing). A step
computes from it and leaves it as it was, but for ring columns that nothing attends to before the step is made again;
`commit` is what changes it. So a step that raised may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from servers.kyutai.model.codec import Codec
from servers.kyutai.model.heads import PauseHeads
from servers.kyutai.model.lm import Lm
from servers.kyutai.model.ring import Index, put_rows, rows_of

Timing = Literal["early", "moshi"]


@dataclass(frozen=True, slots=True)
class Made:
    """What a step made of its rows."""

    told: Any
    """The new token and the heads' probabilities, (rows, 1 + heads), float32: what goes to the host in one copy. A
    token is exact there up to 2^24."""
    tokens: Any
    codes: Any
    kept: Any


class Step:
    """The parts, and the state of all rows."""

    def __init__(self, codec: Codec, lm: Lm, heads: PauseHeads | None, *, timing: Timing, device: torch.device) -> None:
        """`early`: the codes of a frame go into the language model's step at once, which the step before any audio,
        the same for every stream, leads: it is computed here and copied at a reset. `moshi`: a frame's step hears the
        frame before it, the first one of a stream none."""
        rows = len(codec.kept)
        self.codec, self.lm, self.heads, self.lead = codec, lm, heads, 1 if timing == "early" else 0
        self.tokens = torch.full((rows,), lm.start_token, device=device)
        self.codes = torch.full((rows, codec.codebooks), lm.pad_code, device=device)
        self._start: Any = None
        if self.lead:
            self._start_hidden = lm.start()
            self._start = lm.ring.store[:, :, :1, :, :1].clone()

    def forget(self, row: int, seed: int) -> None:
        """A new stream, with this seed for what it draws, begins in this row."""
        self.codec.ring.forget(row)
        self.lm.ring.forget(row)
        self.codec.kept[row] = 0.0
        if self.lead:
            self.lm.ring.store[:, :, row, :, :1] = self._start[:, :, 0]
            numbers = torch.tensor([[seed, 0]]).to(self.tokens.device, non_blocking=True)
            self.tokens[row] = self.lm.choose(self._start_hidden, numbers[:, 0], numbers[:, 1])[0]
        else:
            self.tokens[row] = self.lm.start_token
            self.codes[row] = self.lm.pad_code

    def exchange(self, low: int, high: int) -> None:
        """Two rows change places. All of one is copied first: what lacks memory changes nothing."""
        rings = [self.codec.ring.store, self.lm.ring.store]
        states = [(store, 2) for store in rings] + [(store, 0) for store in (self.codec.kept, self.tokens, self.codes)]
        copies = [store.select(dim, low).clone() for store, dim in states]
        for (store, dim), copy in zip(states, copies, strict=True):
            store.select(dim, low).copy_(store.select(dim, high))
            store.select(dim, high).copy_(copy)

    def compute(self, pcm: Any, frames: Any, seeds: Any, index: Index, active: Any, most_frames: int) -> Made:
        """Samples (rows, 1920), float32, and for each row how many frames came before (rows,) and its seed (rows,).
        `active` (rows,) bool, or None where all are; `most_frames`: no row has had more."""
        codes, kept = self.codec.step(pcm, frames, index, active, (most_frames + 1) * self.codec.width)
        heard = codes if self.lead else rows_of(self.codes, index)
        positions = frames + self.lead
        hidden = self.lm.step(rows_of(self.tokens, index), heard, positions, index, active, most_frames + self.lead + 1)
        tokens = self.lm.choose(hidden, seeds, positions)
        told = tokens.unsqueeze(1).float()
        if self.heads is not None:
            told = torch.cat([told, self.heads.of(hidden)], dim=1)
        return Made(told, tokens, codes, kept)

    def commit(self, made: Made, index: Index, active: Any) -> None:
        """Let the rows have what the step made of them, but those that idled in it."""
        pairs = [(self.tokens, made.tokens), (self.codec.kept, made.kept)]
        if not self.lead:
            pairs.append((self.codes, made.codes))
        for state, new in pairs:
            if active is not None:
                here = active.view(-1, *[1] * (new.ndim - 1))
                new = torch.where(here, new, rows_of(state, index))
            put_rows(state, index, new)
