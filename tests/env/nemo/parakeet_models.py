"""Small TDT models with random weights that say something, what NeMo makes of audio, and audio to hear."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from omegaconf import OmegaConf, open_dict

from servers.common.interfaces import Audio
from servers.common.model_nemo import quiet
from servers.common.settings import load
from servers.parakeet.model import Parakeet
from servers.parakeet.model_load import build, choose_dtype
from servers.parakeet.model_random import lifelike_model
from servers.parakeet.settings import Settings
from servers.parakeet.weights import PUBLISHED_CONFIG

SMALL: Final = {
    "encoder": {"n_layers": 2, "d_model": 64, "n_heads": 4, "subsampling_conv_channels": 32},
    "model_defaults": {"enc_hidden": 64, "pred_hidden": 48, "joint_hidden": 48},
    "decoder": {"prednet": {"pred_hidden": 48}},
    "joint": {"jointnet": {"joint_hidden": 48}},
}
CONFIDENCE: Final = {
    "preserve_frame_confidence": True,
    "preserve_token_confidence": True,
    "exclude_blank": True,
    "aggregation": "mean",
    "tdt_include_duration": False,
    "method_cfg": {"name": "max_prob", "alpha": 1.0},
}
CPU: Final = torch.device("cpu")


def small_config(folder: Path, **changes: Any) -> Path:
    """The published shape, much smaller; `changes` are merged in last."""
    path = folder / "small.yaml"
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(PUBLISHED_CONFIG), OmegaConf.create(SMALL), changes), path)
    return path


def small_model(folder: Path, *, seed: int = 1, bare_marks: bool = False, **changes: Any) -> Any:
    """Talkative. Without `bare_marks` it never says <unk> or a word mark alone: NeMo's own confidences raise on some
    of what follows those."""
    model = lifelike_model(seed, small_config(folder, **changes), blank_frames=0.6)
    if not bare_marks:
        with torch.no_grad():
            for piece in ("<unk>", "\u2581"):
                model.joint.joint_net[-1].bias[model.tokenizer.token_to_id(piece)] = -1e4
    return model


def engine_around(model: Any, *flags: str) -> Parakeet:
    settings = load(Settings, ["--device=cpu", "--precision=fp32", *flags])
    return build(model, settings, CPU, choose_dtype(settings.precision, CPU))


def nemo_says(model: Any, audio: Sequence[Audio], *, batch_size: int = 1, words: bool = True) -> list[Any]:
    """NeMo's own hypotheses with time stamps and, unless not `words`, word confidences. The model is left in eval mode,
    with the search of the last engine around it."""
    before, config = model.decoding, model.cfg.decoding
    decoding = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    with open_dict(decoding):
        decoding.compute_timestamps = True
        decoding.confidence_cfg = {**CONFIDENCE, "preserve_word_confidence": words}
    with quiet():
        model.change_decoding_strategy(decoding, verbose=False)
        found: list[Any] = model.transcribe(
            list(audio), batch_size=batch_size, timestamps=True, return_hypotheses=True, verbose=False
        )
    model.eval()
    model.decoding, model.cfg.decoding = before, config
    return found


def made_up_audio(seconds: float, seed: int) -> Audio:
    """Noise that comes and goes in tenths of a second, 16 kHz."""
    rng = np.random.default_rng(seed)
    samples = max(1, round(seconds * 16_000))
    loudness = np.repeat(rng.random(samples // 1600 + 1) * 0.2, 1600)[:samples]
    return (rng.standard_normal(samples) * loudness).astype(np.float32)
