"""params.json of a Voxtral Realtime checkpoint: the published model's, and the same at another size. Pure.

The published model's is servers/voxtral/params_4b.json. It is written down from what public readers of
mistralai/Voxtral-Mini-4B-Realtime-2602 quote of that file, and agrees with the defaults of transformers'
VoxtralRealtimeConfig and with what vLLM asks for; the file itself was not at hand.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PUBLISHED: Final = Path(__file__).parent.parent / "params_4b.json"
DOWN_SAMPLING: Final = 4
"""Frames of 20 ms that become one step of 80 ms."""
CONV_KERNEL: Final = 3
POSITIONS: Final = {"max_position_embeddings": 131_072}
"""The published file says it as model_max_length only; vLLM 0.32 then looks for a config.json, for seconds."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """The size of one of the two: the encoder's widths, or the language model's. `window` in its own frames."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int
    window: int


@dataclass(frozen=True, kw_only=True)
class Size:
    """What tells a tiny model from the published one."""

    encoder: Transformer
    language: Transformer
    vocabulary: int
    delay_width: int = 32
    """Of the bottleneck through which the delay reaches each layer; transformers knows only 32."""


def published() -> dict[str, Any]:
    """The params of the 4b model."""
    found: dict[str, Any] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return found


def params(size: Size) -> dict[str, Any]:
    """The published model's params with the sizes of `size`."""
    found = copy.deepcopy(published()) | POSITIONS
    found |= _sizes(size.language) | {"vocab_size": size.vocabulary, "ada_rms_norm_t_cond_dim": size.delay_width}
    found["multimodal"]["whisper_model_args"]["encoder_args"] |= _sizes(size.encoder) | {"vocab_size": size.vocabulary}
    return found


def size_of(params: dict[str, Any]) -> Size:
    """What `params` say. Raises KeyError where one is missing."""
    return Size(
        encoder=_transformer(params["multimodal"]["whisper_model_args"]["encoder_args"]),
        language=_transformer(params),
        vocabulary=params["vocab_size"],
        delay_width=params["ada_rms_norm_t_cond_dim"],
    )


def _sizes(of: Transformer) -> dict[str, int]:
    return {
        "dim": of.width,
        "n_layers": of.layers,
        "n_heads": of.heads,
        "n_kv_heads": of.kv_heads,
        "head_dim": of.head_width,
        "hidden_dim": of.inner,
        "sliding_window": of.window,
    }


def _transformer(args: dict[str, Any]) -> Transformer:
    return Transformer(
        width=args["dim"],
        layers=args["n_layers"],
        heads=args["n_heads"],
        kv_heads=args["n_kv_heads"],
        head_width=args["head_dim"],
        inner=args["hidden_dim"],
        window=args["sliding_window"],
    )
