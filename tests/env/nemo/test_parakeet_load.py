"""From settings to an engine: precision, device, what is refused and by which words, what /status says."""

from __future__ import annotations

import logging
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.parakeet.model_load import choose_dtype, load_model, open_transcriber
from servers.parakeet.model_random import PIECES, lifelike_model
from servers.parakeet.settings import Settings
from tests.env.nemo.parakeet_models import CPU, engine_around, made_up_audio, small_config, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return small_model(tmp_path_factory.mktemp("small"))


@pytest.fixture
def audio() -> list[Audio]:
    return [made_up_audio(2.0, seed) for seed in range(2)]


def refused(*flags: str) -> str:
    with pytest.raises(StartupRefused) as refusal:
        open_transcriber(load(Settings, ["--device=cpu", *flags]))
    return str(refusal.value)


def test_status_says_what_is_served(model: Any) -> None:
    status = dict(engine_around(model, "--batch-size=7").status())
    assert status.pop("parameters") == sum(each.numel() for each in model.parameters())
    assert status == {
        "device": "cpu",
        "dtype": "torch.float32",
        "model_class": "EncDecRNNTBPEModel",
        "vocabulary": PIECES,
        "durations": [0, 1, 2, 3, 4],
        "sample_rate_hz": 16_000,
        "largest_batch": 7,
        "out_of_memory": 0,
    }


def test_half_precision_on_a_cpu_is_single_precision_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose_dtype("fp16", CPU) is torch.float32
    assert "--precision=fp16 (MODEL_PRECISION) is replaced by fp32" in caplog.text
    assert choose_dtype("bf16", CPU) is torch.bfloat16


def test_a_gpu_without_bfloat16_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    with pytest.raises(StartupRefused, match=r"--precision=bf16 \(MODEL_PRECISION\): Tesla T4 has no bfloat16"):
        choose_dtype("bf16", torch.device("cuda:0"))


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused("--device=cuda", "--model=tiny").startswith("--device=cuda (DEVICE): 0 CUDA devices are visible")


def test_bfloat16_runs_in_bfloat16(tmp_path: Path, audio: list[Audio]) -> None:
    model = small_model(tmp_path, seed=3)
    engine = engine_around(model, "--precision=bf16")

    assert {part.dtype for part in model.encoder.parameters()} == {torch.bfloat16}
    assert engine.status()["dtype"] == "torch.bfloat16"
    assert all(0 <= word.confidence <= 1 for one in engine.transcribe(audio) for word in one.words)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.nemo").write_bytes(b"nothing")
    assert "x.nemo cannot be loaded as a NeMo model" in refused(f"--model={tmp_path / 'x.nemo'}")


def test_a_model_of_another_kind_is_refused_by_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    other = types.SimpleNamespace(eval=lambda: torch.nn.Identity())
    monkeypatch.setattr("servers.common.model_nemo.restore", lambda path, device: other)
    assert "is a Identity; this server runs TDT and RNNT models" in refused("--model=tiny")


def test_a_model_for_another_sample_rate_is_refused(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.common.model_nemo.restore", lambda path, device: model)
    monkeypatch.setitem(model.cfg.preprocessor, "sample_rate", 8000)
    assert "hears audio of 8000 Hz; this server has 16000 Hz" in refused("--model=tiny")


def test_a_restored_model_is_in_eval_mode_all_through() -> None:
    model = load_model(load(Settings, ["--model=tiny", "--device=cpu"]), CPU)
    assert not [name for name, module in model.named_modules() if module.training]


def test_tiny_opens_warm() -> None:
    engine = open_transcriber(load(Settings, ["--model=tiny", "--device=cpu", "--threads=1"]))
    assert engine.status()["dtype"] == "torch.float32"
    assert engine.transcribe([np.zeros(8000, np.float32)])[0].text == ""


@pytest.mark.parametrize(
    "chunk",
    [np.zeros(0, np.float32), np.zeros(10), np.zeros((2, 10), np.float32), np.full(10, np.nan, np.float32)],
    ids=["empty", "double", "2d", "nan"],
)
def test_what_is_no_chunk_is_refused(model: Any, chunk: Any) -> None:
    with pytest.raises(ValueError, match="a chunk"):
        engine_around(model).transcribe([made_up_audio(0.1, 0), chunk])


def test_no_chunks_are_no_transcripts(model: Any) -> None:
    assert engine_around(model).transcribe([]) == []


def test_a_seed_gives_the_same_weights_and_leaves_torch_as_it_was(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    first = lifelike_model(5, config).state_dict()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    again = lifelike_model(5, config).state_dict()

    assert torch.rand(1) == expected
    assert all(torch.equal(value, again[name]) for name, value in first.items())


def test_random_weights_bring_about_as_many_tokens_as_speech_has(tmp_path: Path) -> None:
    model = lifelike_model(0, small_config(tmp_path))
    audio = [made_up_audio(5.0, seed) for seed in range(4)]
    tokens = sum(len(one.chars) for one in engine_around(model).transcribe(audio))
    assert 0.3 < tokens / 20 < 10
