"""Builds Smart Turn v2's network: from a checkpoint in Hugging Face format, or of the real size with random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from servers.common.errors import StartupRefused
from servers.smart_turn.model_v2_network import Endpointing, Shape
from servers.smart_turn.weights import CONFIG, PUBLISHED_CONFIG, RANDOM_SEED, WEIGHTS

POSITION = "wav2vec2.encoder.pos_conv_embed.conv"
NORMS = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))
"""What weight norm's length and direction are called, before and since PyTorch 2.0."""

UNUSED = ("wav2vec2.masked_spec_embed",)
"""Only for training."""


def load_network(folder: Path) -> Endpointing:
    """The network of a checkpoint folder. Raises StartupRefused, with the file and the reason, when it is no v2."""
    network = Endpointing(Shape.from_config(_read_config(folder / CONFIG)))
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise StartupRefused(f"{path} cannot be read: {error}") from error
    try:
        network.load_state_dict(fold_weight_norm(weights))
    except RuntimeError as error:  # PyTorch's word for missing, unknown and misshapen weights
        reason = " ".join(str(error).split())[:300]
        raise StartupRefused(f"{path} is not a Smart Turn v2 checkpoint: {reason}") from error
    return network


def random_network(config: Mapping[str, Any] | None = None, *, seed: int = RANDOM_SEED) -> Endpointing:
    """A network with random weights, the same for the same seed; without `config` of the published size."""
    shape = Shape.from_config(_read_config(PUBLISHED_CONFIG) if config is None else config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Endpointing(shape)


def fold_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's weights under this network's names, float32, the positional convolution's in one piece."""
    found = {name: value.float() for name, value in weights.items() if name not in UNUSED}
    for length_name, direction_name in NORMS:
        names = f"{POSITION}.{length_name}", f"{POSITION}.{direction_name}"
        if all(name in found for name in names):
            length, direction = (found.pop(name) for name in names)
            found[f"{POSITION}.weight"] = length * direction / direction.norm(dim=(0, 1), keepdim=True)
    return found


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartupRefused(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise StartupRefused(f"{path} holds no JSON object")
    return config
