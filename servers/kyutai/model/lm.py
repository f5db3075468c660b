"""One step of the language model for many streams: the last text token and a frame's codes in, the next token out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

from servers.kyutai.model.ring import Index, Ring

_MIX: Final = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
"""Multipliers of splitmix64's finaliser, as signed 64-bit numbers."""
_GOLDEN: Final = 0x9E3779B97F4A7C15 - 2**64


class Lm:
    """The model and every row's keys and values."""

    def __init__(
        self, model: Any, *, rows: int, codebooks: int, temperature: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        """`model`: KyutaiSpeechToTextForConditionalGeneration on `device`, without its codec in `dtype`."""
        config = model.config
        self._layers, self._norm = model.model.layers, model.model.norm
        self._temperature = temperature
        self.start_token: int = config.vocab_size - 1
        self.vocabulary = self.start_token
        """Tokens that can come out. The last one only ever goes in: upstream's output layer has no row for it, the
        converter gives it one of zeros."""
        self.codebooks, self.pad_code = codebooks, int(config.audio_bos_token_id)
        embeddings = model.model.embed_tokens
        self._embeddings = embeddings.embed_tokens.weight
        self._offsets = embeddings.audio_tokens_offsets[: codebooks + 1].to(device)
        self._scores = model.lm_head.weight[: self.vocabulary]
        self.ring = Ring(
            layers=config.num_hidden_layers,
            rows=rows,
            heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            window=config.sliding_window,
            width=1,
            dtype=dtype,
            device=device,
        )
        self._angles = _Angles(self._layers[0].self_attn.rotary_emb)
        for layer in self._layers:
            layer.self_attn.rotary_emb = self._angles

    def step(self, tokens: Any, codes: Any, positions: Any, index: Index, active: Any, reach: int) -> Any:
        """Tokens (rows,) and codes (rows, codebooks) at positions (rows,) -> hidden states (rows, d_model)."""
        inputs = torch.cat([tokens.unsqueeze(1), codes], dim=1) + self._offsets
        hidden = torch.nn.functional.embedding(inputs, self._embeddings).sum(dim=1, keepdim=True)
        positions = positions.unsqueeze(1)
        turn = self.ring.turn(index, positions, active, reach)
        with self._angles.held(hidden, positions):
            for layer in self._layers:
                hidden = layer(hidden, attention_mask=turn.mask, position_ids=positions, past_key_values=turn)
        return self._norm(hidden)[:, 0]

    def choose(self, hidden: Any, seeds: Any, positions: Any) -> Any:
        """Hidden states (rows, d_model) -> text tokens (rows,). `seeds` (rows,) are the streams' own, so that what is
        drawn depends on the stream and its position, not on which rows are in the step."""
        scores = torch.nn.functional.linear(hidden, self._scores)
        if not self._temperature:
            return scores.argmax(dim=1)
        # The likeliest after Gumbel noise is a draw from the softmax (Gumbel-max).
        keys = seeds.unsqueeze(1) + positions.unsqueeze(1) * _GOLDEN
        noise = uniform(uniform_bits(keys) + torch.arange(self.vocabulary, device=keys.device) * _GOLDEN)
        return (scores.float() / self._temperature - torch.log(-torch.log(noise))).argmax(dim=1)

    def start(self) -> Any:
        """The step before any audio, which is the same for every stream, in row 0 -> hidden states (1, d_model)."""
        first = torch.zeros(1, dtype=torch.long, device=self._offsets.device)
        codes = torch.full((1, self.codebooks), self.pad_code, device=first.device)
        return self.step(first + self.start_token, codes, first, slice(0, 1), None, 1)


class _Angles(torch.nn.Module):  # type: ignore[misc]
    """In place of the layers' own rotary embeddings: all of them turn by the same angles, computed once a step."""

    def __init__(self, rotary: Any) -> None:
        super().__init__()
        self._rotary = rotary
        self._angles: Any = None

    @contextmanager
    def held(self, hidden: Any, positions: Any) -> Iterator[None]:
        """Every layer gets these until the end."""
        self._angles = self._rotary(hidden, positions)
        try:
            yield
        finally:
            self._angles = None

    def forward(self, hidden: Any, positions: Any) -> Any:
        return self._rotary(hidden, positions) if self._angles is None else self._angles


def uniform_bits(keys: Any) -> Any:
    """splitmix64's finaliser on int64 (https://prng.di.unimi.it/splitmix64.c): well mixed bits of each key."""
    mixed = keys
    for shift, factor in zip((30, 27), _MIX, strict=True):
        mixed = (mixed ^ (mixed >> shift & (1 << 64 - shift) - 1)) * factor
    return mixed ^ (mixed >> 31 & (1 << 33) - 1)


def uniform(keys: Any) -> Any:
    """A float64 strictly between 0 and 1 for each key."""
    return ((uniform_bits(keys) >> 11 & (1 << 53) - 1).double() + 0.5) * 2.0**-53
