"""Mimi's quantizer for frames: the nearest entry of each codebook, level by level, of what the levels before left.

The same codes as transformers' own, in four kernels a level instead of a dozen: |x - e|^2 is least where
|e|^2 / 2 - x.e is, and |e|^2 / 2 is known beforehand.
"""

from __future__ import annotations

from typing import Any

import torch


class Quantizer:
    """The first `codebooks` levels, in float32: which entry is nearest would change in fewer digits."""

    def __init__(self, split: Any, *, codebooks: int) -> None:
        """`split`: transformers' MimiSplitResidualVectorQuantizer, float32, on its device."""
        semantic, acoustic = split.semantic_residual_vector_quantizer, split.acoustic_residual_vector_quantizer
        self._chains = [_Chain(semantic, split.num_semantic_quantizers)]
        if codebooks > split.num_semantic_quantizers:
            self._chains.append(_Chain(acoustic, codebooks - split.num_semantic_quantizers))

    def encode(self, latents: Any) -> Any:
        """(rows, hidden_size), float32 -> codes (rows, codebooks)."""
        return torch.stack([code for chain in self._chains for code in chain.codes(latents)], dim=1)


class _Chain:
    """Codebooks that follow one another."""

    def __init__(self, residual: Any, levels: int) -> None:
        self._projection = None if residual.input_proj is None else residual.input_proj.weight[:, :, 0]
        books = [layer.codebook.embed for layer in residual.layers[:levels]]
        self._levels = [(book, book.square().sum(dim=1) / 2) for book in books]

    def codes(self, latents: Any) -> list[Any]:
        """One (rows,) for each level."""
        left = latents if self._projection is None else torch.nn.functional.linear(latents, self._projection)
        found: list[Any] = []
        for book, half_squares in self._levels:
            found.append(torch.addmm(half_squares, left, book.t(), alpha=-1).argmin(dim=1))
            left = left - torch.nn.functional.embedding(found[-1], book)
        return found
