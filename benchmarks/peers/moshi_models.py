"""A checkpoint of transformers' layout as the models of Kyutai's own package `moshi`, with the same weights.

The other way round: transformers' convert_kyutai_speech_to_text_to_hf.py and convert_mimi_checkpoint_to_pytorch.py.
"""

from __future__ import annotations

import re
from typing import Any, Final

import torch

RATE_HZ: Final = 24_000
FRAMES_HZ: Final = 12.5
LM_NAMES: Final = (
    (r"model\.layers\.(\d+)\.self_attn\.o_proj\.linear", r"transformer.layers.\1.self_attn.out_projs.0"),
    (r"model\.layers\.(\d+)\.mlp\.fc1", r"transformer.layers.\1.gating.linear_in"),
    (r"model\.layers\.(\d+)\.mlp\.fc2", r"transformer.layers.\1.gating.linear_out"),
    (r"model\.layers\.(\d+)\.input_layernorm\.weight", r"transformer.layers.\1.norm1.alpha"),
    (r"model\.layers\.(\d+)\.post_attention_layernorm\.weight", r"transformer.layers.\1.norm2.alpha"),
    (r"model\.norm\.weight", "out_norm.alpha"),
    (r"lm_head\.", "text_linear."),
)
CODEC_NAMES: Final = (
    (r"encoder\.encoder_seanet\.layers\.(.*)\.conv\.(weight|bias)", r"encoder.model.\1.conv.conv.\2"),
    (r"encoder\.downsample\.conv\.weight", "downsample.conv.conv.conv.weight"),
    (r"encoder\.encoder_transformer\.layers\.", "encoder_transformer.transformer.layers."),
    (r"self_attn\.o_proj", "self_attn.out_projs.0"),
    (r"mlp\.fc(\d)", r"linear\1"),
    (r"input_layernorm", "norm1"),
    (r"post_attention_layernorm", "norm2"),
    (r"self_attn_layer_scale", "layer_scale_1"),
    (r"mlp_layer_scale", "layer_scale_2"),
    (r"quantizer\.semantic_residual_vector_quantizer", "quantizer.rvq_first"),
    (r"quantizer\.acoustic_residual_vector_quantizer", "quantizer.rvq_rest"),
    (r"\.layers\.(\d+)\.codebook\.initialized", r".vq.layers.\1._codebook._initialized"),
    (r"\.layers\.(\d+)\.codebook\.embed_sum", r".vq.layers.\1._codebook.embedding_sum"),
    (r"\.layers\.(\d+)\.codebook\.cluster_usage", r".vq.layers.\1._codebook.cluster_usage"),
)


def models_of(model: Any, heads: Any) -> tuple[Any, Any]:
    """Mimi and the language model, float32 on the CPU, in eval mode. `heads`: (heads, classes, d_model).

    Raises KeyError or RuntimeError where a weight has no place there.
    """
    from moshi.models import loaders

    shape, codec = model.config, model.config.codec_config
    mimi = loaders.get_mimi(None, _codec_shape(codec, loaders), num_codebooks=shape.num_codebooks)
    lm = loaders.get_moshi_lm(None, _lm_shape(shape, heads), dtype=torch.float32)
    weights = model.state_dict()
    audio = {key.removeprefix("codec_model."): each for key, each in weights.items() if key.startswith("codec_model.")}
    _fill(mimi, _renamed(audio, CODEC_NAMES, codec.num_attention_heads, "encoder_transformer.transformer.layers"))
    text = {key: each for key, each in weights.items() if not key.startswith("codec_model.")}
    table = text.pop("model.embed_tokens.embed_tokens.weight")
    named = _renamed(text, LM_NAMES, shape.num_attention_heads, "transformer.layers")
    named = {key: each.view(1, 1, -1) if key.endswith("alpha") else each for key, each in named.items()}
    named["text_linear.weight"] = named["text_linear.weight"][: shape.vocab_size - 1]  # no start token comes out
    named["text_emb.weight"] = table[: shape.vocab_size]
    size = shape.codebook_vocab_size
    for number in range(shape.num_codebooks):
        start = shape.vocab_size + number * size
        named[f"emb.{number}.weight"] = table[start : start + size]
    named |= {f"extra_heads.{number}.weight": head for number, head in enumerate(heads)}
    _fill(lm, named)
    return mimi, lm


def _codec_shape(codec: Any, loaders: Any) -> dict[str, Any]:
    size = codec.hidden_size
    transformer = {
        "d_model": size,
        "num_heads": codec.num_attention_heads,
        "num_layers": codec.num_hidden_layers,
        "context": codec.sliding_window,
        "dim_feedforward": codec.intermediate_size,
        "input_dimension": size,
        "output_dimensions": [size],
        "max_period": codec.rope_parameters["rope_theta"],
    }
    seanet = {
        "dimension": size,
        "n_filters": codec.num_filters,
        "n_residual_layers": codec.num_residual_layers,
        "ratios": list(codec.upsampling_ratios),
        "kernel_size": codec.kernel_size,
        "residual_kernel_size": codec.residual_kernel_size,
        "last_kernel_size": codec.last_kernel_size,
        "compress": codec.compress,
    }
    quantizer = {"dimension": codec.codebook_dim, "n_q": codec.num_quantizers, "bins": codec.codebook_size}
    return {
        "sample_rate": RATE_HZ,
        "channels": 1,
        "frame_rate": FRAMES_HZ,
        "seanet": loaders._seanet_kwargs | seanet,
        "quantizer": quantizer | {"input_dimension": size, "output_dimension": size},
        "transformer": loaders._transformer_kwargs | transformer,
    }


def _lm_shape(shape: Any, heads: Any) -> dict[str, Any]:
    return {
        "dim": shape.hidden_size,
        "text_card": shape.vocab_size - 1,
        "n_q": shape.num_codebooks,
        "dep_q": 0,
        "card": shape.codebook_vocab_size - 1,
        "num_heads": shape.num_attention_heads,
        "num_layers": shape.num_hidden_layers,
        "hidden_scale": 3
        / 4
        * shape.ffn_dim
        / shape.hidden_size,  # a gated layer has two thirds of that, in two halves
        "causal": True,
        "layer_scale": None,
        "context": shape.sliding_window,
        "max_period": shape.rope_parameters["rope_theta"],
        "gating": "silu",
        "norm": "rms_norm_f32",
        "positional_embedding": "rope",
        "delays": [0] * (shape.num_codebooks + 1),
        "extra_heads_num_heads": len(heads),
        "extra_heads_dim": heads.shape[1],
    }


def _renamed(weights: dict[str, Any], names: Any, heads: int, layers: str) -> dict[str, Any]:
    """Under moshi's names; query, key and value of a layer in one, their rotary pairs side by side."""
    found: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for key, each in weights.items():
        if match := re.search(r"layers\.(\d+)\.self_attn\.([qkv])_proj", key):
            parts.setdefault(match[1], {})[match[2]] = each
            continue
        for old, new in names:
            key = re.sub(old, new, key)
        found[key] = each
    for number, part in parts.items():
        both = [_paired(part["q"], heads), _paired(part["k"], heads), part["v"]]
        found[f"{layers}.{number}.self_attn.in_projs.0.weight"] = torch.cat(both)
    return found


def _paired(weight: Any, heads: int) -> Any:
    """Rows of a head: transformers has the rotary pairs' first halves, then their second ones."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def _fill(module: Any, weights: dict[str, Any]) -> None:
    """Copy them all. KeyError for one that `module` lacks; what it has beside them (its decoder) stays as drawn."""
    places = module.state_dict()
    with torch.no_grad():
        for key, each in weights.items():
            if places[key].shape != each.shape:
                raise RuntimeError(f"{key} is {tuple(places[key].shape)} there, {tuple(each.shape)} here")
            places[key].copy_(each)
