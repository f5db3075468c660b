"""The engine around a loaded model: what the settings ask of it, checked against what it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from servers.common.errors import StartupRefused
from servers.kyutai import config_toml
from servers.kyutai.model.codec import Codec
from servers.kyutai.model.device import choose_dtype
from servers.kyutai.model.engine import Kyutai
from servers.kyutai.model.heads import PauseHeads
from servers.kyutai.model.lm import Lm
from servers.kyutai.model.random import BOUNDARY
from servers.kyutai.model.step import Step
from servers.kyutai.settings import Settings


def build(
    model: Any,
    heads: Any,
    settings: Settings,
    device: torch.device,
    decode: Callable[[Sequence[int]], str],
    delay_tokens: int,
) -> Kyutai:
    """The engine around a loaded model, which is changed: it is moved and converted."""
    config, mimi = model.config, model.codec_model
    _compare(config, 0 if heads is None else len(heads), settings)
    codebooks = min(config.num_codebooks, config.codec_config.num_quantizers)
    codebooks = codebooks if settings.codebooks is None else settings.codebooks
    least, most = config.codec_config.num_semantic_quantizers, config.num_codebooks
    if not least <= codebooks <= most:
        raise StartupRefused(f"--codebooks={codebooks} (KYUTAI_CODEBOOKS): the checkpoint has {least} to {most}")
    lm_dtype = choose_dtype(settings.lm_dtype, device, flag="lm-dtype")
    codec_dtype = choose_dtype(settings.codec_dtype, device, flag="codec-dtype")
    model.to(device).requires_grad_(False)
    model.model.to(lm_dtype)
    model.lm_head.to(lm_dtype)
    mimi.encoder.to(codec_dtype)
    mimi.quantizer.float()
    with torch.inference_mode():
        try:
            codec = Codec(mimi, rows=settings.seats, codebooks=codebooks, dtype=codec_dtype, device=device)
            lm = Lm(
                model,
                rows=settings.seats,
                codebooks=codebooks,
                temperature=settings.temperature,
                dtype=lm_dtype,
                device=device,
            )
        except RuntimeError as error:
            raise _no_room(error, settings) from error
        pause_heads = None if heads is None else PauseHeads(heads.to(device, lm_dtype))
        step = Step(codec, lm, pause_heads, timing=settings.timing, device=device)
    status = {
        "device": str(device),
        "lm_dtype": str(lm_dtype),
        "codec_dtype": str(codec_dtype),
        "parameters": sum(each.numel() for each in model.parameters()),
        "vocabulary": lm.vocabulary,
        "codebooks": codebooks,
        "delay_tokens": delay_tokens,
        "timing": settings.timing,
        "window_steps": lm.ring.window,
        "pause_heads": 0 if heads is None else len(heads),
        "seat_bytes": lm.ring.row_bytes + codec.ring.row_bytes,
        "sample_rate_hz": Kyutai.sample_rate_hz,
    }
    return Kyutai(
        step,
        delay_tokens=delay_tokens,
        padding_token=int(config.pad_token_id),
        boundary_token=BOUNDARY,
        decode=decode,
        status=status,
        device=device,
    )


def _no_room(error: RuntimeError, settings: Settings) -> Exception:
    """What too little memory is called, which PyTorch says in different ways."""
    if not isinstance(error, torch.OutOfMemoryError) and "alloc" not in str(error):
        return error
    reason = " ".join(str(error).split())[:200]
    return StartupRefused(f"--seats={settings.seats} (KYUTAI_SEATS): no memory for so many streams: {reason}")


def _compare(config: Any, heads: int, settings: Settings) -> None:
    """What the TOML's tables say of the model must be so: it is another one than was meant otherwise."""
    if settings.config is None:
        return
    there = {
        "text_vocabulary": config.vocab_size - 1,
        "d_model": config.hidden_size,
        "heads": config.num_attention_heads,
        "layers": config.num_hidden_layers,
        "window": config.sliding_window,
        # A checkpoint without any is served, with an empty prs.
        **({"pause_heads": heads} if heads else {}),
    }
    names = {ours: key for key, ours in config_toml.SHAPE.items()}
    for name, said in config_toml.read(settings.config).shape.items():
        if name in there and said != there[name]:
            reason = f"{names[name]} is {said}, but the checkpoint of --model={settings.model} has {there[name]}"
            raise StartupRefused(f"--config={settings.config}: {reason}")
