"""A small model of the published shape with random weights that says something, and streams for it to hear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from servers.common.audio import pcm16_to_float
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.fastconformer.model import FastConformer
from servers.fastconformer.model_load import build, load_model
from servers.fastconformer.model_random import random_model
from servers.fastconformer.settings import Settings
from servers.fastconformer.weights import PUBLISHED_CONFIG
from tests.env.nemo.clips import pcm_of, sentence_clips
from tests.env.nemo.reference import make_talkative
from tests.env.nemo.streams import made_up_audio

SMALL = {
    "encoder": {"n_layers": 3, "d_model": 64, "n_heads": 4, "subsampling_conv_channels": 32},
    "model_defaults": {"enc_hidden": 64, "pred_hidden": 48, "joint_hidden": 48},
    "decoder": {"prednet": {"pred_hidden": 48}},
    "joint": {"jointnet": {"joint_hidden": 48}},
    "aux_ctc": {"decoder": {"feat_in": 64}},
}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Random weights, made talkative."""
    path: Path = tmp_path_factory.mktemp("small") / "small.yaml"
    OmegaConf.save(OmegaConf.merge(OmegaConf.load(PUBLISHED_CONFIG), OmegaConf.create(SMALL)), path)
    model = random_model(seed=1, config=path)
    model.encoder.set_default_att_context_size([70, 1])
    make_talkative(model)
    return model


@pytest.fixture(scope="session")
def tiny_model() -> Any:
    """The trained checkpoint."""
    settings = load(Settings, ["--model=tiny", "--device=cpu"])
    return load_model(settings, torch.device("cpu"))


@pytest.fixture
def tiny_engine_of(tiny_model: Any) -> Callable[..., FastConformer]:
    """Engines around the one tiny model; the last one made decides its look-ahead."""

    def make(*flags: str) -> FastConformer:
        settings = load(Settings, ["--model=tiny", "--device=cpu", *flags])
        return build(tiny_model, settings, torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def clips() -> list[Audio]:
    """Sixteen committed sentences of 1.8 to 3.5 seconds."""
    return [pcm16_to_float(pcm_of(clip)) for clip in sentence_clips()[:16]]


@pytest.fixture
def engine_of(small_model: Any) -> Callable[..., FastConformer]:
    """Engines around the one small model; the last one made decides its look-ahead."""

    def make(*flags: str) -> FastConformer:
        settings = load(Settings, ["--model=random", "--device=cpu", *flags])
        return build(small_model, settings, torch.device("cpu"))

    return make


@pytest.fixture(scope="session")
def streams() -> list[Audio]:
    """Sixteen of 1 to 3 seconds, none a whole number of chunks."""
    rng = np.random.default_rng(7)
    return [made_up_audio(int(rng.integers(16_000, 48_000)), seed=seed) for seed in range(16)]
