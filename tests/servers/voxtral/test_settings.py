"""The knobs: defaults of the contract, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.common.settings import SettingsError, effective, load
from servers.voxtral.settings import MODEL_ID, Settings

CONTRACT = {
    "MAX_CONCURRENT_CONNECTIONS": ("max_connections", 100),
    "VOXTRAL_MODEL_DIR": ("model_dir", Path("models/voxtral")),
    "VOXTRAL_TRANSCRIPTION_DELAY_MS": ("transcription_delay_ms", 400),
    "WS_IDLE_TIMEOUT_S": ("idle_timeout_s", 150),
    "WS_WATCHDOG_TICK_S": ("watchdog_tick_s", 5),
    "WS_MAX_CONNECTION_DURATION_S": ("max_connection_duration_s", 5400),
    "WS_INBOUND_QUEUE_MAX": ("inbound_queue_max", 256),
    "WS_MESSAGE_WINDOW_SECONDS": ("message_window_s", 60),
    "WS_MAX_MESSAGES_PER_WINDOW": ("max_messages_per_window", 5000),
    "WS_CANCEL_WINDOW_SECONDS": ("cancel_window_s", 60),
    "WS_MAX_CANCELS_PER_WINDOW": ("max_cancels_per_window", 50),
    "VLLM_GPU_MEMORY_UTILIZATION": ("vllm_gpu_memory_utilization", 0.92),
    "VLLM_MAX_MODEL_LEN": ("vllm_max_model_len", 67_500),
    "VLLM_MAX_NUM_SEQS": ("vllm_max_num_seqs", 128),
    "VLLM_MAX_NUM_BATCHED_TOKENS": ("vllm_max_num_batched_tokens", 4096),
    "VLLM_KV_CACHE_DTYPE": ("vllm_kv_cache_dtype", "auto"),
    "VLLM_ENFORCE_EAGER": ("vllm_enforce_eager", False),
    "VLLM_DTYPE": ("vllm_dtype", "bfloat16"),
    "VLLM_TOKENIZER_MODE": ("vllm_tokenizer_mode", "mistral"),
    "VLLM_CONFIG_FORMAT": ("vllm_config_format", "mistral"),
    "VLLM_LOAD_FORMAT": ("vllm_load_format", "mistral"),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_defaults_and_names_are_the_contracts(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    field, default = CONTRACT[name]
    assert getattr(load(Settings), field) == default
    other = {"VLLM_DTYPE": "float32", "VLLM_ENFORCE_EAGER": "1", "WS_WATCHDOG_TICK_S": "7"}.get(name)
    given = other or {int: "400", float: "0.5", str: "other", bool: "1"}.get(type(default), "other")
    given = {"MAX_CONCURRENT_CONNECTIONS": "50", "VOXTRAL_TRANSCRIPTION_DELAY_MS": "480"}.get(name, given)
    given = {"VLLM_MAX_MODEL_LEN": "60000"}.get(name, given)
    monkeypatch.setenv(name, given)
    assert str(effective(load(Settings))[field]).lower() in (given, f"{given}.0", "true")


def test_the_model_and_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(Settings)
    assert (settings.host, settings.port) == ("0.0.0.0", 8000)
    assert settings.model == settings.hub_id == settings.client_model == MODEL_ID
    for name, value in {"SERVER_BIND_HOST": "127.0.0.1", "SERVER_PORT": "9000", "VOXTRAL_API_KEY": "a, b"}.items():
        monkeypatch.setenv(name, value)
    assert (load(Settings).host, load(Settings).port) == ("127.0.0.1", 9000)
    assert effective(load(Settings))["api_key"] == "***"


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--transcription-delay-ms=100"], "transcription-delay-ms"),
        (["--transcription-delay-ms=0"], "transcription-delay-ms"),
        (["--transcription-delay-ms=2480"], "transcription-delay-ms"),
        (["--max-connections=128"], "VLLM_MAX_NUM_SEQS"),
        (["--segment-max-s=100"], "VOXTRAL_SEGMENT_MAX_S"),
        (["--vllm-max-model-len=1000"], "context"),
        (["--model=large"], "hub id"),
        (["--model=tiny", "--model-revision=main"], "VOXTRAL_MODEL_REVISION"),
        (["--engine-url=http://x"], "engine-url"),
        (["--api-key=secret"], "VOXTRAL_API_KEY"),
        (["--engine-key=secret"], "VLLM_REALTIME_API_KEY"),
        (["--language=en"], "language"),
    ],
)
def test_what_is_refused_is_named(flags: list[str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        load(Settings, flags)


def test_somebody_elses_engine_has_its_own_seats() -> None:
    settings = load(Settings, ["--engine-url=ws://gpu:8001/v1/realtime", "--max-connections=500"])
    assert settings.max_connections == 500
