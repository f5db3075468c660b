"""The semantic-VAD heads behind `prs`: small linear maps of the language model's hidden state.

`prs[i]` = softmax(head i of h)[0], h behind the last norm: the probability that a pause of 0.5, 1, 2, 3 s begins.
Source: moshi-server's batched ASR and `LMGen.step_with_extra_heads` of the moshi package.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from servers.common.errors import StartupRefused
from servers.kyutai.weights import HEADS_KEY

CANDLE_KEY = re.compile(r"extra_heads\.(\d+)\.weight")


class PauseHeads:
    """All heads as one matrix."""

    def __init__(self, weights: Any) -> None:
        """`weights`: (heads, classes, d_model)."""
        self.count, self._classes, _ = weights.shape
        self._weights = weights.flatten(0, 1)

    def of(self, hidden: Any) -> Any:
        """Hidden states (rows, d_model) -> (rows, heads), float32."""
        scores = torch.nn.functional.linear(hidden, self._weights).float()
        return scores.unflatten(1, (self.count, self._classes)).softmax(dim=2)[:, :, 0]


def read_heads(path: Path, *, d_model: int) -> Any:
    """The weights in `path`, (heads, classes, d_model): a file of ours, or one in candle's layout, of which nothing
    else is read; None where there are none. Raises StartupRefused for a file that cannot be read or does not fit."""
    try:
        with safe_open(str(path), framework="pt") as file:
            names = list(file.keys())
            found = {int(match[1]): name for name in names if (match := CANDLE_KEY.fullmatch(name))}
            if HEADS_KEY in names:
                weights = file.get_tensor(HEADS_KEY)
            elif found:
                weights = torch.stack([file.get_tensor(found[number]) for number in sorted(found)])
            else:
                return None
    except (OSError, SafetensorError, RuntimeError) as error:
        raise StartupRefused(f"{path} cannot be read: {error}") from error
    if weights.ndim != 3 or weights.shape[2] != d_model:
        shape = "x".join(map(str, weights.shape))
        raise StartupRefused(f"{path}: pause heads of shape {shape} do not fit a model of width {d_model}")
    return weights
