"""Small Kyutai models with random weights for tests of the engine, and what transformers says of the same audio."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.decoders import Metaspace
from tokenizers.models import Unigram

from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.kyutai import weights
from servers.kyutai.model.engine import Kyutai
from servers.kyutai.model.load import build
from servers.kyutai.model.random import random_heads, random_model, random_text
from servers.kyutai.settings import FRAME_SAMPLES, Settings

VOCABULARY = 64
LM = {
    "vocab_size": VOCABULARY + 1,
    "codebook_vocab_size": 33,
    "num_codebooks": 6,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "ffn_dim": 64,
    "sliding_window": 8,
    "bos_token_id": VOCABULARY,
    "audio_bos_token_id": 32,
    "audio_pad_token_id": VOCABULARY + 1 + 6 * 33,
}
CODEC = {
    "hidden_size": 32,
    "num_filters": 2,
    "codebook_size": 32,
    "codebook_dim": 16,
    "num_quantizers": 6,
    "vector_quantization_hidden_dimension": 16,
    "upsample_groups": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "sliding_window": 6,
}
"""Both windows are shorter than most streams: of 8 frames, and of 3."""
FLAGS = ("--model=random", "--device=cpu", "--lm-dtype=float32")


@functools.cache
def small_config() -> Path:
    """The published configuration, smaller."""
    config = json.loads(weights.PUBLISHED_CONFIG.read_text(encoding="utf-8"))
    config["codec_config"] |= CODEC
    path = Path(tempfile.mkdtemp()) / "config.json"
    path.write_text(json.dumps(config | LM), encoding="utf-8")
    return path


def small_model() -> Any:
    """Always the same weights, in a model of its own: an engine changes the one it is given."""
    return random_model(small_config(), seed=1)


def save_small(folder: Path) -> Path:
    """A small checkpoint as the hub has them, with a tokenizer of 64 pieces and heads of its own -> `folder`."""
    small_model().save_pretrained(folder)
    pieces = [("<unk>", 0.0), *((f"\u2581w{number}", -1.0) for number in range(1, VOCABULARY - 1)), ("s", -1.0)]
    tokenizer = Tokenizer(Unigram(pieces, 0, False))
    tokenizer.decoder = Metaspace()
    tokenizer.save(str(folder / weights.TOKENIZER))
    (folder / weights.PREPROCESSOR).write_text(json.dumps({"audio_delay_seconds": 0.5}))
    save_file({weights.HEADS_KEY: random_heads(32)}, folder / weights.HEADS)
    return folder


def engine_of(*flags: str) -> Kyutai:
    """An engine around a small model; flags of the server."""
    settings = load(Settings, [*FLAGS, *flags])
    heads = None if settings.pause_heads == "off" else random_heads(LM["hidden_size"])
    return build(small_model(), heads, settings, torch.device("cpu"), random_text(VOCABULARY), 6)


def made_up_audio(frames: int, *, seed: int, short_by: int = 0) -> Audio:
    """Noise that is louder and softer from frame to frame; `short_by` samples less than so many frames."""
    rng = np.random.default_rng(seed)
    audio = rng.standard_normal((frames, FRAME_SAMPLES)) * rng.random((frames, 1)) * 0.3
    return audio.astype(np.float32).reshape(-1)[: frames * FRAME_SAMPLES - short_by]


def frames_of(audio: Audio, slot: int) -> list[Frame]:
    """All frames of a stream, the last one as short as it is."""
    pieces = [audio[at : at + FRAME_SAMPLES] for at in range(0, len(audio), FRAME_SAMPLES)]
    end = len(pieces) - 1
    return [Frame(slot, piece, first=number == 0, last=number == end) for number, piece in enumerate(pieces)]


def alone(engine: Kyutai, audio: Audio, slot: int = 0) -> list[int]:
    """Tokens of one stream that nobody shares a step with."""
    return [engine.step([frame])[0].token for frame in frames_of(audio, slot)]


def offline(audio: Audio) -> tuple[list[int], list[list[int]]]:
    """transformers' own `generate` on the whole stream -> the token that follows each frame, and each frame's codes.

    It leaves the last frame unheard, so that it is given one more; its first token is that of the step before audio.
    """
    frames = -(-len(audio) // FRAME_SAMPLES)
    whole = np.zeros((frames + 1) * FRAME_SAMPLES, np.float32)
    whole[: len(audio)] = audio
    values, model = torch.from_numpy(whole).view(1, 1, -1), small_model()
    with torch.inference_mode():
        tokens = model.generate(input_values=values, audio_window_size=None, do_sample=False)[0].tolist()
        codes = model.codec_model.encode(values).audio_codes[0].T.tolist()
    return tokens[2:], codes[:frames]
