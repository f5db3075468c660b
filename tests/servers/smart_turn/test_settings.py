"""The knobs: names that older deployments use, defaults, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.common.settings import SettingsError, effective, load, table
from servers.smart_turn.app import count_sessions
from servers.smart_turn.settings import Settings
from tests.servers.clean import clear

ENVIRONMENT = {
    "AUTH_KEY",
    "BATCH_BUCKETS",
    "MICRO_BATCH_WINDOW_MS",
    "BATCH_IDLE_GAP_MS",
    "DTYPE",
    "THRESHOLD",
    "TORCH_COMPILE",
    "MODEL_ID",
    "MODEL_REVISION",
    "MAX_SECS",
    "CUDA_GRAPHS",
    "PYTORCH_CUDA_ALLOC_CONF",
    "LOG_LEVEL",
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clear(monkeypatch, Settings, tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_every_name_of_the_contract_is_read() -> None:
    declared = {name for row in table(Settings) for name in row.env}

    assert declared >= ENVIRONMENT


def test_the_defaults_of_the_contract() -> None:
    settings = load(Settings)

    assert settings.batch_buckets == (1, 2, 4, 6)
    assert (settings.window_ms, settings.idle_gap_ms, settings.threshold) == (5, 1, 0.5)
    assert (settings.deadline_ms, settings.kept_secs) == (2500, 8)
    assert settings.model == "auto"


def test_environment_and_flags_reach_the_same_knob(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_BATCH_WINDOW_MS", "7")
    monkeypatch.setenv("BATCH_BUCKETS", "1,8")

    settings = load(Settings, ["--window-ms=2"])

    assert effective(settings)["window_ms"] == 2
    assert effective(settings)["batch_buckets"] == "1,8"


@pytest.mark.parametrize(
    "flag",
    [
        "--batch-buckets=",
        "--batch-buckets=0,1",
        "--batch-buckets=4,2",
        "--batch-buckets=1,one",
        "--window-ms=-1",
        "--idle-gap-ms=nan",
        "--sessions=-1",
        "--queue-limit=0",
        "--deadline-ms=0",
        "--threshold=1.5",
        "--max-secs=0",
        "--max-body-bytes=10",
    ],
)
def test_an_impossible_value_is_refused_by_name(flag: str) -> None:
    with pytest.raises(SettingsError, match=flag.split("=")[0]):
        load(Settings, [flag])


@pytest.mark.parametrize("flag", ["--dtype=float32", "--torch-compile=0", "--cuda-graphs=1"])
def test_a_knob_without_effect_is_refused(flag: str) -> None:
    with pytest.raises(SettingsError, match=f"{flag.split('=')[0]}.*no effect on v3-onnx"):
        load(Settings, [flag])


def test_a_knob_without_effect_is_refused_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTYPE", "bfloat16")

    with pytest.raises(SettingsError, match="DTYPE"):
        load(Settings)


def test_more_audio_than_the_model_takes_is_refused() -> None:
    assert load(Settings, ["--max-secs=4"]).kept_secs == 4
    with pytest.raises(SettingsError, match="at most 8"):
        load(Settings, ["--max-secs=16"])


@pytest.mark.parametrize("model", ["v2-torch", "v3", "model.bin"])
def test_models_that_are_not_served_are_refused(model: str) -> None:
    with pytest.raises(SettingsError, match=r"auto, v2, v3-onnx, tiny, random, the path of a \.onnx file"):
        load(Settings, [f"--model={model}"])


@pytest.mark.parametrize("model", ["v2", "tiny", "random", "./checkpoint", "me/my-turns", "pipecat-ai/smart-turn-v2"])
def test_v2_has_knobs_and_an_environment_of_its_own(model: str) -> None:
    settings = load(Settings, [f"--model={model}", "--dtype=bfloat16", "--torch-compile=0", "--device=cuda:1"])

    assert (settings.backend, settings.environment, settings.kept_secs) == ("v2-torch", "torch", 16)
    assert load(Settings).environment == load(Settings, ["--model=a/b.onnx"]).environment == "light"


def test_the_hub_s_name_of_v2_is_v2() -> None:
    settings = load(Settings, ["--model=pipecat-ai/smart-turn-v2", "--model-revision=abc"])

    assert (settings.model, settings.hub_id, settings.model_revision) == ("v2", "pipecat-ai/smart-turn-v2", "abc")
    assert load(Settings, ["--model=me/my-turns"]).hub_id == "me/my-turns"
    assert load(Settings, ["--model=./me/my-turns"]).hub_id is None


@pytest.mark.parametrize(("flag", "backend"), [("--device=auto", "v2-torch"), ("--device=cpu", "v3-onnx")])
def test_auto_is_v2_where_there_is_a_gpu(flag: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.smart_turn.settings.cuda_is_visible", lambda: True)

    assert load(Settings, [flag]).backend == backend


def test_a_gpu_that_is_asked_for_is_not_silently_replaced() -> None:
    assert load(Settings, ["--device=cuda:0"]).backend == "v2-torch"
    with pytest.raises(SettingsError, match="v3-onnx runs on the CPU only"):
        load(Settings, ["--model=v3-onnx", "--device=cuda:0"])


@pytest.mark.parametrize("model", ["auto", "v3-onnx", "random", "tiny", "./folder"])
def test_a_revision_of_what_is_not_from_the_hub_is_refused(model: str) -> None:
    with pytest.raises(SettingsError, match=r"--model-revision.*no effect"):
        load(Settings, [f"--model={model}", "--model-revision=abc"])


def test_graphs_take_one_session() -> None:
    assert load(Settings, ["--model=v2", "--cuda-graphs=1", "--sessions=1"]).cuda_graphs
    with pytest.raises(SettingsError, match="--sessions=1"):
        load(Settings, ["--model=v2", "--cuda-graphs=1", "--sessions=2"])


def test_sessions_default_to_the_cpus_at_hand() -> None:
    assert 1 <= count_sessions(load(Settings)) <= 8
    assert count_sessions(load(Settings, ["--sessions=3"])) == 3
