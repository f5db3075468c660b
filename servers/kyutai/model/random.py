"""A configuration with seeded random weights: the real size, no download, and about as many words as speech has.

Only speed may be read from it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers import KyutaiSpeechToTextConfig, KyutaiSpeechToTextForConditionalGeneration

from servers.kyutai.settings import FRAME_SAMPLES
from servers.kyutai.weights import PUBLISHED_CONFIG, RANDOM_SEED

DELAY_TOKENS: Final = 6
"""asr_delay_in_tokens of the published 1b model."""
BOUNDARY, PADDING = 0, 3
"""As in the published vocabularies."""
HEADS: Final = (4, 6)
"""Pause heads and their classes, as published."""
SPEAKING, BEGINNING = 0.25, 0.15
"""Shares of the first codebook's entries at which a token is said, and a word begun: about 3 and 2 a second."""
LOUD: Final = 200.0
"""Far above every other score."""
CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxyz", "aeiou"


def lifelike_model(config: Path = PUBLISHED_CONFIG, *, seed: int = RANDOM_SEED) -> Any:
    """`random_model` that is silent in most steps and says a word now and then. As drawn, it says a token each step."""
    model = random_model(config, seed=seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        _speak_by_the_codes(model)
    return model


def random_model(config: Path = PUBLISHED_CONFIG, *, seed: int = RANDOM_SEED) -> Any:
    """The model in eval mode on the CPU, float32, without Mimi's decoder; the same seed gives the same weights."""
    shape = KyutaiSpeechToTextConfig.from_json_file(config)
    shape.codec_config.decoder_config = None
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = KyutaiSpeechToTextForConditionalGeneration(shape).eval()
        model.lm_head.weight[-1] = 0.0
        _spread_codebooks(model.codec_model)
    return model


def random_heads(d_model: int, *, seed: int = RANDOM_SEED) -> Any:
    """Pause heads, (heads, classes, d_model)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*HEADS, d_model, generator=generator) / d_model**0.5


def random_text(count: int) -> Callable[[Sequence[int]], str]:
    """Syllables for tokens of a made-up vocabulary."""
    syllables = ["".join(each) for each in itertools.product(CONSONANTS, VOWELS, ["", *CONSONANTS])]
    return lambda tokens: "".join(syllables[token % count % len(syllables)] for token in tokens)


def _spread_codebooks(mimi: Any) -> None:
    """Mimi begins with codebooks of zeros, of which each frame would have the first entry."""
    noise = torch.randn(1, 1, 12 * FRAME_SAMPLES) * torch.rand(12).mul(0.3).repeat_interleave(FRAME_SAMPLES)
    latents = mimi.encoder(noise).latents
    both = (mimi.quantizer.semantic_residual_vector_quantizer, mimi.quantizer.acoustic_residual_vector_quantizer)
    for quantizer in both:
        residual = quantizer.input_proj(latents) if quantizer.input_proj is not None else latents
        for layer in quantizer.layers:
            book = layer.codebook
            book.embed_sum.copy_(torch.randn_like(book.embed_sum) * residual.std() * 0.5)
            book._embed = None
            residual = residual - layer.decode(layer.encode(residual))


def _speak_by_the_codes(model: Any) -> None:
    """The first codebook decides when something is said: three dimensions of the residual stream, to which no layer
    adds, carry a constant, "this code says something" and "this code begins a word" to the output layer."""
    embeddings, config = model.model.embed_tokens.embed_tokens.weight, model.config
    first = slice(config.vocab_size, config.vocab_size + config.codebook_vocab_size)
    embeddings[:, :3] = 0.0
    embeddings[: config.vocab_size, 0] = 1.0
    embeddings[first, 1] = (torch.rand(config.codebook_vocab_size) < SPEAKING).float()
    embeddings[first, 2] = (torch.rand(config.codebook_vocab_size) < BEGINNING).float()
    for layer in model.model.layers:
        layer.self_attn.o_proj.linear.weight[:3] = 0.0
        layer.mlp.fc2.weight[:3] = 0.0
    model.lm_head.weight[:, :3] = 0.0
    model.lm_head.weight[PADDING, :2] = torch.tensor([LOUD, -2 * LOUD])
    model.lm_head.weight[BOUNDARY, 2] = 2 * LOUD
