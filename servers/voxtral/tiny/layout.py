"""consolidated.safetensors: Mistral's names of the tensors and their shapes, and transformers' names of the same. Pure.

Sources: vLLM's VoxtralForConditionalGeneration.load_weights (model_executor/models/voxtral.py), and transformers'
convert_voxtral_realtime_weights_to_hf.py, which goes the other way.
"""

from __future__ import annotations

import re
from typing import Final

from servers.voxtral.tiny.params import CONV_KERNEL, DOWN_SAMPLING, Size, Transformer

MEL_BANDS: Final = 128
EMBEDDING: Final = "mm_streams_embeddings.embedding_module"
ENCODER: Final = f"{EMBEDDING}.whisper_encoder"
Shapes = dict[str, tuple[int, ...]]

NAMES: Final = (
    (r"model\.language_model\.embed_tokens\.weight", f"{EMBEDDING}.tok_embeddings.weight"),
    (r"model\.language_model\.norm\.weight", "norm.weight"),
    (r"model\.language_model\.(layers\.\d+)\.input_layernorm\.weight", r"\1.attention_norm.weight"),
    (r"model\.language_model\.(layers\.\d+)\.post_attention_layernorm\.weight", r"\1.ffn_norm.weight"),
    (r"model\.language_model\.(layers\.\d+)\.self_attn\.([qkvo])_proj\.weight", r"\1.attention.w\2.weight"),
    (r"model\.language_model\.(layers\.\d+)\.mlp\.gate_proj\.weight", r"\1.feed_forward.w1.weight"),
    (r"model\.language_model\.(layers\.\d+)\.mlp\.down_proj\.weight", r"\1.feed_forward.w2.weight"),
    (r"model\.language_model\.(layers\.\d+)\.mlp\.up_proj\.weight", r"\1.feed_forward.w3.weight"),
    (r"model\.language_model\.(layers\.\d+)\.ada_rms_norm\.linear1\.weight", r"\1.ada_rms_norm_t_cond.0.weight"),
    (r"model\.language_model\.(layers\.\d+)\.ada_rms_norm\.linear2\.weight", r"\1.ada_rms_norm_t_cond.2.weight"),
    (r"model\.audio_tower\.embedder\.conv1\.(weight|bias)", rf"{ENCODER}.conv_layers.0.conv.\1"),
    (r"model\.audio_tower\.embedder\.conv2\.(weight|bias)", rf"{ENCODER}.conv_layers.1.conv.\1"),
    (r"model\.audio_tower\.norm\.weight", f"{ENCODER}.transformer.norm.weight"),
    (
        r"model\.audio_tower\.(layers\.\d+)\.self_attn_layer_norm\.weight",
        rf"{ENCODER}.transformer.\1.attention_norm.weight",
    ),
    (r"model\.audio_tower\.(layers\.\d+)\.final_layer_norm\.weight", rf"{ENCODER}.transformer.\1.ffn_norm.weight"),
    (
        r"model\.audio_tower\.(layers\.\d+)\.self_attn\.([qkvo])_proj\.(weight|bias)",
        rf"{ENCODER}.transformer.\1.attention.w\2.\3",
    ),
    (r"model\.audio_tower\.(layers\.\d+)\.mlp\.gate_proj\.weight", rf"{ENCODER}.transformer.\1.feed_forward.w1.weight"),
    (
        r"model\.audio_tower\.(layers\.\d+)\.mlp\.down_proj\.(weight|bias)",
        rf"{ENCODER}.transformer.\1.feed_forward.w2.\2",
    ),
    (r"model\.audio_tower\.(layers\.\d+)\.mlp\.up_proj\.weight", rf"{ENCODER}.transformer.\1.feed_forward.w3.weight"),
    (r"model\.multi_modal_projector\.linear_1\.weight", f"{EMBEDDING}.audio_language_projection.0.weight"),
    (r"model\.multi_modal_projector\.linear_2\.weight", f"{EMBEDDING}.audio_language_projection.2.weight"),
)
"""Transformers' names, and Mistral's."""
TIED: Final = "lm_head.weight"
"""Transformers' name for the embedding's second use; Mistral's files have it once."""


def mistral_name(name: str) -> str:
    """Mistral's name of transformers' tensor `name`. Raises KeyError."""
    for pattern, other in NAMES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, other, name)
    raise KeyError(name)


def turned(name: str, size: Size) -> int | None:
    """How many heads of the tensor with that Mistral name are laid out otherwise in the two, or None.

    Mistral turns neighbours of a query's or key's head, transformers turns numbers half a head apart.
    """
    if not re.search(r"attention\.w[qk]\.", name):
        return None
    part = size.encoder if name.startswith(ENCODER) else size.language
    return part.heads if "attention.wq." in name else part.kv_heads


def shapes(size: Size) -> Shapes:
    """Every tensor of the file."""
    language, encoder = size.language, size.encoder
    found: Shapes = {
        f"{EMBEDDING}.tok_embeddings.weight": (size.vocabulary, language.width),
        "norm.weight": (language.width,),
        f"{EMBEDDING}.audio_language_projection.0.weight": (language.width, DOWN_SAMPLING * encoder.width),
        f"{EMBEDDING}.audio_language_projection.2.weight": (language.width, language.width),
        f"{ENCODER}.conv_layers.0.conv.weight": (encoder.width, MEL_BANDS, CONV_KERNEL),
        f"{ENCODER}.conv_layers.0.conv.bias": (encoder.width,),
        f"{ENCODER}.conv_layers.1.conv.weight": (encoder.width, encoder.width, CONV_KERNEL),
        f"{ENCODER}.conv_layers.1.conv.bias": (encoder.width,),
        f"{ENCODER}.transformer.norm.weight": (encoder.width,),
    }
    for layer in range(language.layers):
        found |= _layer(f"layers.{layer}", language)
        found[f"layers.{layer}.ada_rms_norm_t_cond.0.weight"] = (size.delay_width, language.width)
        found[f"layers.{layer}.ada_rms_norm_t_cond.2.weight"] = (language.width, size.delay_width)
    for layer in range(encoder.layers):
        name = f"{ENCODER}.transformer.layers.{layer}"
        found |= _layer(name, encoder)
        found[f"{name}.attention.wq.bias"] = (encoder.heads * encoder.head_width,)
        found[f"{name}.attention.wv.bias"] = (encoder.kv_heads * encoder.head_width,)
        found[f"{name}.attention.wo.bias"] = found[f"{name}.feed_forward.w2.bias"] = (encoder.width,)
    return found


def _layer(name: str, part: Transformer) -> Shapes:
    """Of a transformer's layer what both have."""
    queries, keys = part.heads * part.head_width, part.kv_heads * part.head_width
    return {
        f"{name}.attention_norm.weight": (part.width,),
        f"{name}.ffn_norm.weight": (part.width,),
        f"{name}.attention.wq.weight": (queries, part.width),
        f"{name}.attention.wk.weight": (keys, part.width),
        f"{name}.attention.wv.weight": (keys, part.width),
        f"{name}.attention.wo.weight": (part.width, queries),
        f"{name}.feed_forward.w1.weight": (part.inner, part.width),
        f"{name}.feed_forward.w2.weight": (part.width, part.inner),
        f"{name}.feed_forward.w3.weight": (part.inner, part.width),
    }
