"""A moshi-server TOML: what counts, what has no effect, and how each mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.common.settings import SettingsError, load
from servers.kyutai import config_toml
from servers.kyutai.settings import Settings

SHIPPED = """
static_dir = "./static/"
log_dir = "$HOME/tmp/tts-logs"
instance_name = "tts"
authorized_ids = ["public_token", "alice", "bob"]

[modules.asr]
path = "/api/asr-streaming"
type = "BatchedAsr"
lm_model_file = "hf://kyutai/stt-1b-en_fr-candle/model.safetensors"
text_tokenizer_file = "hf://kyutai/stt-1b-en_fr-candle/tokenizer_en_fr_audio_8000.model"
audio_tokenizer_file = "hf://kyutai/stt-1b-en_fr-candle/mimi-pytorch-e351c8d8@125.safetensors"
asr_delay_in_tokens = 6
batch_size = 16
conditioning_learnt_padding = true
temperature = 0.25
beam_size = 3
streaming_chunk_size = 8

[modules.asr.model]
audio_vocab_size = 2049
text_in_vocab_size = 8001
text_out_vocab_size = 8000
audio_codebooks = 20

[modules.asr.model.transformer]
d_model = 2048
num_heads = 16
num_layers = 16
context = 750
rope_theta = 100000.0

[modules.asr.model.extra_heads]
num_heads = 4
dim = 6
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(SHIPPED)
    return file


def test_what_counts(path: Path) -> None:
    found = config_toml.read(path)
    assert found.settings == {
        "seats": 16,
        "delay_tokens": 6,
        "temperature": 0.25,
        "codebooks": 20,
        "model": "kyutai/stt-1b-en_fr",
        "api_keys": "alice,bob",
    }
    assert (found.shape["d_model"], found.shape["layers"], found.shape["pause_heads"]) == (2048, 16, 4)


def test_what_has_no_effect_is_listed(path: Path) -> None:
    idle = config_toml.read(path).without_effect
    assert {"modules.asr.beam_size", "modules.asr.streaming_chunk_size", "log_dir"} <= set(idle)
    assert "modules.asr.model.transformer.rope_theta" in idle
    assert not {"modules.asr.batch_size", "modules.asr.type", "authorized_ids"} & set(idle)


def test_it_stands_behind_flags_and_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = f"--config={path}"
    assert load(Settings, [flag]).seats == 16
    monkeypatch.setenv("KYUTAI_SEATS", "5")
    assert load(Settings, [flag]).seats == 5
    assert load(Settings, [flag, "--seats=3"]).seats == 3
    assert load(Settings, ["--seats=3"]).temperature == 0.0
    monkeypatch.setenv("KYUTAI_CONFIG", str(path))
    assert load(Settings).temperature == 0.25


def test_keys_of_the_environment_replace_those_of_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Settings, [f"--config={path}"]).keys == ("alice", "bob")
    monkeypatch.setenv("KYUTAI_API_KEY", "mine")
    assert load(Settings, [f"--config={path}"]).keys == ("mine",)


def test_the_key_that_everybody_knows_opens_nothing(path: Path) -> None:
    path.write_text(SHIPPED.replace('"public_token", "alice", "bob"', '"public_token"'))
    assert load(Settings, [f"--config={path}"]).keys == ()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[modules.asr]", "[modules.asr", "config.toml"),
        ('type = "BatchedAsr"', 'type = "Tts"', "BatchedAsr"),
        ('path = "/api/asr-streaming"', 'path = "/api/asr"', "modules.asr.path"),
        ("d_model = 2048", 'd_model = "2048"', "modules.asr.model.transformer.d_model"),
        ("num_layers = 16", "num_layers = -1", "modules.asr.model.transformer.num_layers"),
        ('["public_token", "alice", "bob"]', '"alice"', "authorized_ids"),
        ("batch_size = 16", "batch_size = 0", r"config.toml: batch_size = 0"),
        ("batch_size = 16", 'batch_size = "many"', "config.toml: batch_size"),
        ("temperature = 0.25", "temperature = -1", "temperature"),
        ("asr_delay_in_tokens = 6", "asr_delay_in_tokens = 6.5", "asr_delay_in_tokens"),
        ("audio_codebooks = 20", "audio_codebooks = 99", "model.audio_codebooks"),
    ],
)
def test_mistakes_are_named(path: Path, old: str, new: str, named: str) -> None:
    assert old in SHIPPED
    path.write_text(SHIPPED.replace(old, new))
    with pytest.raises(SettingsError, match=named):
        load(Settings, [f"--config={path}"])


def test_two_speech_modules_are_one_too_many(path: Path) -> None:
    path.write_text(SHIPPED + '\n[modules.other]\ntype = "PyBatchedAsr"\n')
    with pytest.raises(SettingsError, match="not 2"):
        config_toml.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="KYUTAI_CONFIG"):
        load(Settings, [f"--config={tmp_path}/none.toml"])


def test_weights_that_are_no_hub_file_choose_no_model(path: Path) -> None:
    path.write_text(SHIPPED.replace("hf://kyutai/stt-1b-en_fr-candle/model.safetensors", "./model.safetensors"))
    assert "model" not in config_toml.read(path).settings
