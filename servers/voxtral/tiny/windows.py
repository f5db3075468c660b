"""Attention within a window, computed block by block: what the network does, at a cost that grows with length only.

Put into transformers under the name WINDOWED; for training, where queries and keys are of the same steps.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface

WINDOWED: Final = "windowed"


def windowed(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    sliding_window: int,
    **_: Any,
) -> tuple[Tensor, None]:
    """Each step of `query` (batch, heads, T, width) sees itself and the `sliding_window` - 1 steps before it.

    Returns (batch, T, heads, width).
    """
    assert attention_mask is None and query.shape[2] == key.shape[2]
    steps, size = query.shape[2], sliding_window
    blocks = -(-steps // size)
    behind = blocks * size - steps
    groups = query.shape[1] // key.shape[1]
    keys, values = (
        nn.functional.pad(given.repeat_interleave(groups, 1), (0, 0, 0, behind)).flatten(0, 1) for given in (key, value)
    )
    asked = nn.functional.pad(query, (0, 0, 0, behind)).flatten(0, 1).unflatten(1, (blocks, size))
    found = nn.functional.scaled_dot_product_attention(
        asked,
        _with_the_block_before(keys.unflatten(1, (blocks, size))),
        _with_the_block_before(values.unflatten(1, (blocks, size))),
        attn_mask=_mask(blocks, size, query.dtype),
        scale=scaling,
    )
    return found.flatten(1, 2)[:, :steps].unflatten(0, query.shape[:2]).transpose(1, 2), None


def _with_the_block_before(given: Tensor) -> Tensor:
    """(n, blocks, 2 x size, width) of (n, blocks, size, width)."""
    before = torch.cat([torch.zeros_like(given[:, :1]), given[:, :-1]], 1)
    return torch.cat([before, given], 2)


def _mask(blocks: int, size: int, dtype: torch.dtype) -> Tensor:
    """0 where one is seen, (1, blocks, size, 2 x size): the last `size` places, and nothing before the beginning."""
    own = size + torch.arange(size)[:, None]
    place = torch.arange(2 * size)
    inside = (place <= own) & (place > own - size)
    mask = inside.expand(blocks, -1, -1).clone()
    mask[0, :, :size] = False
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, float("-inf"))[None]


def register() -> None:
    """Makes the name known to transformers; no mask is made for it."""
    AttentionInterface.register(WINDOWED, windowed)
    AttentionMaskInterface.register(WINDOWED, lambda *_, **__: None)
