"""From a checkpoint's files to Kyutai's engine: layouts, heads, what is refused and in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import KyutaiSpeechToTextConfig, KyutaiSpeechToTextForConditionalGeneration

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.kyutai import weights
from servers.kyutai.interfaces import Heard, Listener
from servers.kyutai.model import build as model_build
from servers.kyutai.model import load as model_load
from servers.kyutai.model.random import lifelike_model, random_heads
from servers.kyutai.settings import FRAME_SAMPLES, Settings
from tests.env.torch.kyutai_small import (
    LM,
    alone,
    engine_of,
    frames_of,
    made_up_audio,
    save_small,
    small_config,
    small_model,
)

Open = Callable[..., Listener]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def checkpoint(saved: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def settings_of(model: Path | str, *flags: str) -> Settings:
    return load(Settings, [f"--model={model}", "--device=cpu", "--lm-dtype=float32", "--seats=3", *flags])


def refused(model: Path | str, *flags: str) -> str:
    with pytest.raises(StartupRefused) as refusal:
        model_load.open_listener(settings_of(model, *flags))
    return str(refusal.value)


def said(listener: Listener, audio: Audio) -> list[Heard]:
    return [listener.step([frame])[0] for frame in frames_of(audio, slot=0)]


def test_a_checkpoint_hears_as_the_model_that_was_saved(saved: Path) -> None:
    listener, audio = model_load.open_listener(settings_of(saved)), made_up_audio(12, seed=4)

    assert alone(listener, audio) == alone(engine_of(), audio)  # type: ignore[arg-type]
    assert (listener.delay_steps, listener.padding_token, listener.boundary_token) == (6, 3, 0)
    assert listener.text_of([5, 63, 7]) == "w5s w7"
    assert (listener.pause_heads, listener.slots) == (4, 3)
    assert listener.step_s(1) < 1
    assert json.loads(json.dumps(listener.status()))["vocabulary"] == 64


def test_the_delay_of_the_checkpoint_or_of_the_settings(checkpoint: Path) -> None:
    (checkpoint / weights.PREPROCESSOR).write_text(json.dumps({"audio_delay_seconds": 2.5}))
    assert model_load.open_listener(settings_of(checkpoint)).delay_steps == 31
    (checkpoint / weights.PREPROCESSOR).unlink()
    assert model_load.open_listener(settings_of(checkpoint, "--delay-tokens=32")).delay_steps == 32
    assert "--delay-tokens" in refused(checkpoint)


def candle_file(folder: Path, heads: Any) -> Path:
    """As candle has them, beside the rest of a model."""
    named = {f"extra_heads.{number}.weight": head.clone() for number, head in enumerate(heads)}
    save_file({**named, "emb.0.weight": torch.zeros(2)}, folder / "candle.safetensors")
    return folder / "candle.safetensors"


def test_heads_of_the_candle_twin(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads, audio = random_heads(32), made_up_audio(3, seed=6)
    own = [each.pauses for each in said(model_load.open_listener(settings_of(checkpoint)), audio)]
    monkeypatch.setattr(weights, "find_heads", lambda settings: candle_file(tmp_path, heads))

    listener = model_load.open_listener(settings_of(checkpoint, "--pause-heads=require"))

    assert [each.pauses for each in said(listener, audio)] == own
    assert len(own[0]) == 4


def test_heads_that_are_not_there(checkpoint: Path, caplog: pytest.LogCaptureFixture) -> None:
    (checkpoint / weights.HEADS).unlink()
    assert "--pause-heads=require" in refused(checkpoint, "--pause-heads=require")
    assert model_load.open_listener(settings_of(checkpoint)).pause_heads == 0
    assert "prs is empty" in caplog.text
    save_file({weights.HEADS_KEY: torch.zeros(4, 6, 31)}, checkpoint / weights.HEADS)
    assert "shape 4x6x31 do not fit a model of width 32" in refused(checkpoint)


def test_tensors_that_lack_are_no_random_ones(checkpoint: Path) -> None:
    found = load_file(checkpoint / weights.WEIGHTS)
    save_file({name: each for name, each in found.items() if "layers.1" not in name}, checkpoint / weights.WEIGHTS)

    assert "is not a whole checkpoint" in refused(checkpoint)


def test_broken_files_are_named(checkpoint: Path) -> None:
    (checkpoint / weights.TOKENIZER).write_text("{}")
    assert weights.TOKENIZER in refused(checkpoint)
    (checkpoint / weights.WEIGHTS).write_bytes(b"no weights")
    assert f"{checkpoint} cannot be loaded" in refused(checkpoint)


def test_a_codec_with_other_frames_is_refused(checkpoint: Path) -> None:
    model = small_model()
    model.codec_model.config.upsampling_ratios = [8, 6, 5, 2]
    with pytest.raises(StartupRefused, match=r"does not know: \(24000, 960, True, False\)"):
        model_load.build(model, None, settings_of(checkpoint), torch.device("cpu"), str, 6)


def test_more_codebooks_than_there_are_are_refused(saved: Path) -> None:
    assert "--codebooks=7 (KYUTAI_CODEBOOKS): the checkpoint has 1 to 6" in refused(saved, "--codebooks=7")


def test_a_gpu_that_is_not_there_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "--device=cuda:1 (KYUTAI_DEVICE): 0 CUDA devices are visible" in refused(saved, "--device=cuda:1")
    assert model_load.choose_device("auto") == torch.device("cpu")


def test_seats_that_find_no_memory_are_named(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 43 GiB")

    monkeypatch.setattr(model_build, "Codec", full)
    assert "--seats=3 (KYUTAI_SEATS): no memory for so many streams: CUDA out of memory" in refused(saved)


def test_a_toml_that_describes_another_model_is_refused(saved: Path, tmp_path: Path) -> None:
    toml = tmp_path / "server.toml"
    lines = '[modules.asr]\ntype = "BatchedAsr"\n[modules.asr.model]\ntext_out_vocab_size = 64\n'
    toml.write_text(f"{lines}[modules.asr.model.transformer]\nd_model = {LM['hidden_size']}\nnum_layers = 2\n")
    assert model_load.open_listener(settings_of(saved, f"--config={toml}")).slots == 3
    toml.write_text(f"{lines}[modules.asr.model.transformer]\nnum_layers = 16\n")
    assert "model.transformer.num_layers is 16" in (words := refused(saved, f"--config={toml}"))
    assert f"the checkpoint of --model={saved} has 2" in words


def test_graphs_that_cannot_be_recorded_are_done_without(
    saved: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine = engine_of("--seats=3")
    monkeypatch.setattr(model_load, "cuda_graphs", lambda: _no_capture)

    model_load._record(engine, settings_of(saved))

    assert "could not be recorded, steps run without: no capture" in caplog.text
    assert engine.status()["cuda_graphs"] == []
    assert len(alone(engine, made_up_audio(3, seed=1))) == 3


def _no_capture(call: object) -> None:
    raise RuntimeError("no capture")


def test_random_weights_follow_their_seed_and_leave_torch_as_it_was() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, second, other = (lifelike_model(small_config(), seed=seed).state_dict() for seed in (0, 0, 1))

    assert torch.rand(1) == expected
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_random_weights_are_silent_in_most_steps_and_say_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PUBLISHED_CONFIG", small_config())
    listener = model_load.open_listener(settings_of("random"))
    audio = made_up_audio(150, seed=9).reshape(-1, FRAME_SAMPLES)

    tokens = [listener.step([Frame(0, frame, first=at == 0)])[0].token for at, frame in enumerate(audio)]

    spoken = np.array([token not in (listener.padding_token, listener.boundary_token) for token in tokens])
    assert 0.05 < spoken.mean() < 0.6
    assert tokens.count(listener.boundary_token) > 3
    assert listener.text_of([token for token in tokens if token > 3]).isalpha()


def test_a_checkpoint_with_mimis_decoder_is_loaded_without_it(checkpoint: Path) -> None:
    """As the published ones are."""
    config = KyutaiSpeechToTextConfig.from_json_file(small_config())
    whole = KyutaiSpeechToTextForConditionalGeneration(config)
    whole.save_pretrained(checkpoint)
    names = load_file(checkpoint / weights.WEIGHTS)

    model = model_load.load_model(settings_of(checkpoint))

    assert "codec_model.decoder.layers.0.conv.weight" in names
    assert "codec_model.encoder_transformer.layers.0.mlp.fc1.weight" in names
    assert model.codec_model.decoder is None
    assert torch.equal(model.lm_head.weight, whole.lm_head.weight)
    save_file({name: each for name, each in names.items() if ".decoder" not in name}, checkpoint / weights.WEIGHTS)
    assert model_load.load_model(settings_of(checkpoint)).codec_model.decoder is None
