"""The files of a tiny checkpoint: every tensor that the engine asks for, the vocabulary, the audio format."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import servers.voxtral.tiny
from samples.pool import tiny_vocabulary
from servers.voxtral.settings import LEFT_PAD_STEPS, SAMPLE_RATE_HZ, STEP_S
from servers.voxtral.tiny import layout, make, tekken
from servers.voxtral.tiny.params import Size, Transformer, params, published, size_of

CHECKPOINT = Path(servers.voxtral.tiny.__file__).with_name("checkpoint")
WORDS = tiny_vocabulary()
SIZES = st.integers(1, 4).flatmap(
    lambda layers: st.builds(
        Transformer,
        width=st.just(8),
        layers=st.just(layers),
        heads=st.just(2),
        kv_heads=st.just(1),
        head_width=st.just(4),
        inner=st.just(16),
        window=st.integers(1, 900),
    )
)


def header(path: Path) -> dict[str, Any]:
    """Of a safetensors file: its length in 8 bytes, then JSON with dtype and shape of each tensor."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        found: dict[str, Any] = json.loads(file.read(length))
    found.pop("__metadata__", None)
    return found


@pytest.fixture(scope="module")
def vocabulary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHECKPOINT / "tekken.json").read_text(encoding="utf-8"))
    return found


def test_the_checkpoint_has_the_tensors_that_its_params_ask_for() -> None:
    size = size_of(json.loads((CHECKPOINT / "params.json").read_text(encoding="utf-8")))
    tensors = header(CHECKPOINT / "consolidated.safetensors")

    assert {name: tuple(tensor["shape"]) for name, tensor in tensors.items()} == layout.shapes(size)
    assert {tensor["dtype"] for tensor in tensors.values()} == {"BF16"}


def test_the_checkpoint_is_small_and_names_no_path() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in CHECKPOINT.glob("*.json"))

    assert sum(path.stat().st_size for path in CHECKPOINT.iterdir()) <= 8_000_000
    assert {path.name for path in CHECKPOINT.iterdir()} == {"params.json", "consolidated.safetensors", "tekken.json"}
    assert not any(place in written for place in ("/tmp", "/home", "/root"))


def test_the_checkpoints_vocabulary_is_the_one_of_its_words(vocabulary: dict[str, Any]) -> None:
    assert vocabulary == tekken.small(WORDS, delay_ms=480)


def test_every_special_token_has_a_name_of_its_own(vocabulary: dict[str, Any]) -> None:
    named = {token["token_str"]: token["rank"] for token in vocabulary["special_tokens"]}

    assert len(named) == vocabulary["config"]["default_num_special_tokens"] == tekken.SPECIALS
    assert (named["<s>"], named["[STREAMING_PAD]"], named["[STREAMING_WORD]"]) == (1, 32, 33)
    assert {"[INST]", "[ARGS]", "[CALL_ID]", "[AUDIO]", "[BEGIN_AUDIO]", "[TRANSCRIBE]", "[TOOL_CONTENT]"} <= set(named)


def test_the_audio_format_is_the_published_one(vocabulary: dict[str, Any]) -> None:
    audio = vocabulary["audio"]

    assert audio["sampling_rate"] == SAMPLE_RATE_HZ and 1 / audio["frame_rate"] == STEP_S
    assert audio["streaming_n_left_pad_tokens"] + 1 == LEFT_PAD_STEPS
    assert audio["transcription_format"] == "streaming" and audio["transcription_delay_ms"] == 480
    assert audio["audio_encoding_config"] == {"num_mel_bins": 128, "hop_length": 160, "window_size": 400}


def test_ids_of_text_begin_behind_the_special_tokens_with_the_bytes(vocabulary: dict[str, Any]) -> None:
    entries = vocabulary["vocab"]

    assert [entry["rank"] for entry in entries] == list(range(len(entries)))
    assert [base64.b64decode(entry["token_bytes"]) for entry in entries[:256]] == [bytes([at]) for at in range(256)]
    assert vocabulary["config"]["default_vocab_size"] == tekken.SPECIALS + len(entries)


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_words_come_back_from_their_tokens(said: list[str]) -> None:
    spelled = tekken.spelling(WORDS)
    tokens = [token for word in said for token in (tekken.STREAMING_WORD, *spelled[word], tekken.STREAMING_PAD)]

    text = tekken.text_of(tokens, tekken.small(WORDS, delay_ms=480))

    assert text == "".join(" " + word for word in said)


def test_a_long_word_has_two_pieces() -> None:
    assert tekken.pieces_of("please") == (" please",)
    assert tekken.pieces_of("kitchen") == (" kitc", "hen")


def test_the_published_params_are_those_that_transformers_has_as_defaults() -> None:
    size = size_of(published())

    assert size.vocabulary == 131_072 and size.delay_width == 32
    assert size.language == Transformer(
        width=3072, layers=26, heads=32, kv_heads=8, head_width=128, inner=9216, window=8192
    )
    assert size.encoder == Transformer(
        width=1280, layers=32, heads=32, kv_heads=32, head_width=64, inner=5120, window=750
    )


def test_the_published_size_has_four_thousand_million_numbers() -> None:
    count = 0
    for shape in layout.shapes(size_of(published())).values():
        product = 1
        for length in shape:
            product *= length
        count += product

    assert 4.3e9 < count < 4.5e9


@given(SIZES, SIZES, st.integers(1, 9000))
def test_a_size_comes_back_from_its_params(encoder: Transformer, language: Transformer, vocabulary: int) -> None:
    size = Size(encoder=encoder, language=language, vocabulary=vocabulary, delay_width=8)

    assert size_of(params(size)) == size


def test_the_engine_finds_its_positions_without_looking_for_another_file() -> None:
    written = json.loads((CHECKPOINT / "params.json").read_text(encoding="utf-8"))

    assert written == params(size_of(written))
    assert written["max_position_embeddings"] == written["model_max_length"] == published()["model_max_length"]


def test_only_queries_and_keys_are_laid_out_otherwise() -> None:
    size = size_of(published())
    turned = {name: layout.turned(name, size) for name in layout.shapes(size)}

    assert turned["layers.3.attention.wq.weight"] == 32 and turned["layers.3.attention.wk.weight"] == 8
    assert turned[f"{layout.ENCODER}.transformer.layers.0.attention.wq.bias"] == 32
    assert {name for name, heads in turned.items() if heads} == {
        name for name in turned if ".wq." in name or ".wk." in name
    }


def test_the_delay_must_be_a_multiple_of_a_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make.main([str(tmp_path), "--random", "--delay-ms=100"])

    assert "must be a multiple of 80" in capsys.readouterr().err
