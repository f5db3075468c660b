"""How a training goes down: which weights are shrunk, and how much of the learning rate counts when."""

from __future__ import annotations

import math
from typing import Any, Final

from torch import nn

WARM_UP: Final = 0.03
"""Share of the training in which the learning rate rises."""


def groups(model: nn.Module) -> list[dict[str, Any]]:
    """Weights that are shrunk, and biases, norms and scales that are not."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    return [
        {"params": [weight for weight in learning if weight.dim() > 1], "weight_decay": 0.01},
        {"params": [weight for weight in learning if weight.dim() <= 1], "weight_decay": 0.0},
    ]


def rate(done: float) -> float:
    """Factor of the learning rate when the share `done` of the training is over: up, then down a cosine to 1 %."""
    if done < WARM_UP:
        return max(done, 1e-3) / WARM_UP
    return 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))
