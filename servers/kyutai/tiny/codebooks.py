"""Mimi's codebooks by k-means on its own latents, and the embeddings that make codes mean what the latents meant."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from servers.kyutai.tiny.network import CODEBOOKS, CODES, VOCABULARY, Learning

ROUNDS: Final = 12


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not there where types are checked
def settle(learning: Learning, latents: Tensor) -> float:
    """Sets all codebooks by `latents` (n, MIMI_WIDTH); returns the share of their power that codes leave out.

    The first codebook, Mimi's semantic one, sees the directions by which the ear tells words; the others see, one
    after another, what is left of the squeezed latents, and their embeddings start as the way round the codes.
    """
    quantizer = learning.model.codec_model.quantizer
    semantic, acoustic = quantizer.semantic_residual_vector_quantizer, quantizer.acoustic_residual_vector_quantizer
    table = learning.model.model.embed_tokens.embed_tokens.weight
    _, scales, directions = torch.linalg.svd(learning.ear.weight, full_matrices=False)
    width = semantic.input_proj.weight.shape[0]
    semantic.input_proj.weight.copy_((scales[:width, None] * directions[:width])[..., None] / scales[0])
    _fill(semantic.layers[0].codebook, means(latents @ semantic.input_proj.weight[..., 0].T))
    _row(table, 0).zero_()
    left = whole = learning.squeezed(latents)
    for level, layer in enumerate(acoustic.layers, start=1):
        book = means(left)
        _fill(layer.codebook, book)
        left = left - book[nearest(left, book)]
        _row(table, level).copy_(learning.way(book))
    centred = whole - whole.mean(0)
    return float(left.square().sum() / centred.square().sum())


def _row(table: Tensor, codebook: int) -> Tensor:
    """The embeddings of a codebook's codes, the start's left out."""
    assert codebook < CODEBOOKS
    begin = VOCABULARY + codebook * (CODES + 1)
    return table[begin : begin + CODES]


def _fill(codebook: Any, book: Tensor) -> None:
    codebook.embed_sum.copy_(book)
    codebook.cluster_usage.fill_(1.0)
    codebook._embed = None  # transformers keeps the quotient of the two


def means(points: Tensor) -> Tensor:
    """CODES centres of `points` (n, width); one that has lost all its points starts again at the worst served one."""
    centres = points[torch.randperm(len(points))[:CODES]].clone()
    for _ in range(ROUNDS):
        chosen = nearest(points, centres)
        counts = torch.bincount(chosen, minlength=CODES)
        sums = torch.zeros_like(centres).index_add_(0, chosen, points)
        far = (points - centres[chosen]).square().sum(1)
        centres = sums / counts.clamp(min=1)[:, None]
        lost = (counts == 0).nonzero()[:, 0]
        centres[lost] = points[far.topk(max(1, len(lost))).indices[: len(lost)]]
    return centres


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """The index of each point's nearest centre."""
    return torch.cat([torch.cdist(part, centres).argmin(1) for part in points.split(16_384)])
