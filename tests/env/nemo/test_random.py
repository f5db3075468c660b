"""Random weights: the published size, the same every time, and about as many tokens a second as speech has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import soundfile
import torch

from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.fastconformer.model import FastConformer
from servers.fastconformer.model_load import build
from servers.fastconformer.model_random import PIECES, lifelike_model, random_model, random_pieces, random_tokenizer
from servers.fastconformer.settings import Settings

RATE_HZ = 16_000
SAMPLES = Path(__file__).resolve().parents[3] / "samples" / "audio"


@pytest.fixture(scope="module")
def model() -> Any:
    return lifelike_model()


def test_it_has_the_published_size(model: Any) -> None:
    assert 114e6 < sum(each.numel() for each in model.parameters()) < 116e6  # "115M" by the model's card
    assert [list(each) for each in model.encoder.att_context_size_all] == [[70, 13], [70, 6], [70, 1], [70, 0]]
    assert model.tokenizer.vocab_size == PIECES


def test_it_is_in_eval_mode_all_through(model: Any) -> None:
    assert not [name for name, module in model.named_modules() if module.training]


def test_a_seed_gives_the_same_weights_and_leaves_torch_as_it_was(model: Any) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    again = lifelike_model().state_dict()

    assert torch.rand(1) == expected
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())


def test_another_seed_gives_others(model: Any) -> None:
    other = random_model(seed=1).state_dict()
    assert not torch.equal(model.encoder.pre_encode.out.weight, other["encoder.pre_encode.out.weight"])


LONGER = pytest.mark.soak
"""The same of other settings: half a minute each."""


@pytest.mark.parametrize("look_ahead_ms", [pytest.param(0, marks=LONGER), 80, pytest.param(1040, marks=LONGER)])
def test_streams_of_speech_bring_about_as_many_tokens_as_speech_has(model: Any, look_ahead_ms: int) -> None:
    flags = ["--device=cpu", f"--look-ahead-ms={look_ahead_ms}"]
    engine = build(model, load(Settings, flags), torch.device("cpu"))
    found = sorted((SAMPLES / "turns").glob("turn-complete-tiny-*.flac"))[:4]
    clips = [soundfile.read(path, dtype="float32")[0] for path in found]

    tokens = sum(tokens_of(engine, clip) for clip in clips)

    assert 0.3 < tokens / sum(len(clip) / RATE_HZ for clip in clips) < 8


def tokens_of(engine: FastConformer, audio: Audio) -> int:
    tokens, at = 0, 0
    while at <= len(audio):
        first = at == 0
        wanted = engine.samples_wanted(first=first)
        piece = audio[at : at + wanted]
        tokens += len(engine.step([Frame(0, piece, first=first, last=len(piece) < wanted)])[0].tokens)
        at += wanted
    return tokens


def test_its_tokenizer_is_whole_and_always_the_same(tmp_path: Path) -> None:
    first, second = ((random_tokenizer(tmp_path) / "tokenizer.model").read_bytes() for _ in range(2))
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(first)

    assert first == second
    assert len(set(random_pieces())) == len(random_pieces()) == processor.vocab_size() - 1 == PIECES - 1
    assert processor.decode(processor.encode("bacu dofi zuzu")) == "bacu dofi zuzu"
    assert len((tmp_path / "vocab.txt").read_text(encoding="utf-8").splitlines()) == PIECES - 1
