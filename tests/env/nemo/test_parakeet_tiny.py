"""The tiny TDT checkpoint: what it is, how well it reads its small world and when, and that its trainer runs."""

from __future__ import annotations

import hashlib
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nemo.collections.asr.models import ASRModel

from samples.errors import EngineMissing
from samples.lessons import exam, texts
from samples.lessons.data import VOICES, Amount
from samples.lessons.exam import Said
from samples.pool import Split
from samples.speech import speak
from samples.voices import Voice
from servers.parakeet.tiny import evaluate, train
from servers.parakeet.tiny.evaluate import TINY, Heard
from servers.parakeet.tiny.network import DURATIONS, expect_normalised, network

STREAMING = Path(__file__).resolve().parents[3] / "servers" / "fastconformer" / "tiny" / "tiny.nemo"
FRAME_MS = 80
SMALL = Amount(per_sentence=1, per_paragraph=1, made=30)


@pytest.fixture(scope="module")
def model() -> Any:
    return evaluate.load(TINY)


@pytest.fixture(scope="module")
def turns() -> list[Said]:
    """Eighteen committed sentences that it knows."""
    return exam.committed(Split.TRAIN)["train turns"]


@pytest.fixture(scope="module")
def answers(model: Any, turns: list[Said]) -> list[Heard]:
    return evaluate.read(model, [one.audio for one in turns])


@pytest.fixture
def flite() -> None:
    try:
        speak("Hello.", Voice("slt"))
    except EngineMissing:
        pytest.skip("needs flite")


def test_it_is_small_and_names_no_path() -> None:
    with tarfile.open(TINY) as packed:
        config = next(name for name in packed.getnames() if name.endswith("model_config.yaml"))
        file = packed.extractfile(config)
        assert file is not None
        written = file.read().decode()

    assert TINY.stat().st_size <= 8_000_000
    assert "/tmp" not in written and "/home" not in written and "/root" not in written


def test_the_card_is_this_files() -> None:
    card = TINY.with_name("CARD.md").read_text(encoding="utf-8")

    assert hashlib.sha256(TINY.read_bytes()).hexdigest() in card
    assert f"{TINY.stat().st_size:,}".replace(",", " ") in card


def test_it_is_an_offline_tdt_with_the_published_durations(model: Any) -> None:
    assert type(model).__name__ == "EncDecRNNTBPEModel"
    assert list(model.cfg.decoding.durations) == DURATIONS == [0, 1, 2, 3, 4]
    assert list(model.encoder.att_context_size) == [-1, -1]
    assert model.cfg.preprocessor.normalize == "per_feature"
    assert not model.training


def test_it_reads_the_committed_turns(turns: list[Said], answers: list[Heard]) -> None:
    assert len(turns) == 18
    assert evaluate.score(turns, answers).rate <= 0.05


def test_it_says_when_the_words_of_the_committed_turns_are(turns: list[Said], answers: list[Heard]) -> None:
    off = evaluate.times(turns, answers)

    assert off.words >= 120
    assert off.start_ms <= FRAME_MS and off.end_ms <= FRAME_MS
    assert off.start_p95_ms <= 2 * FRAME_MS


def test_its_words_are_its_text_and_their_times_go_on(answers: list[Heard]) -> None:
    for answer in answers:
        assert " ".join(answer.words) == answer.text
        times = answer.spans_s.flatten()
        assert (np.diff(times) >= 0).all() and times[0] >= 0


def test_it_reads_half_a_minute(model: Any, turns: list[Said]) -> None:
    (whole,) = exam.joined(turns[:12], parts=12)

    answers = evaluate.read(model, [whole.audio])

    assert len(whole.audio) > 25 * 16_000
    assert evaluate.score([whole], answers).rate <= 0.1
    assert evaluate.times([whole], answers).start_ms <= FRAME_MS


def test_it_reads_the_committed_paragraphs(model: Any) -> None:
    known = exam.committed(Split.TRAIN)["train paragraphs"]

    assert len(known) == 5
    assert evaluate.score(known, evaluate.read(model, [one.audio for one in known])).rate <= 0.05


@pytest.mark.usefixtures("flite")
def test_it_reads_known_sentences_at_unheard_rates(model: Any) -> None:
    said = exam.spoken(texts.known(Split.TRAIN)[::4], VOICES, turns=2)

    answers = evaluate.read(model, [one.audio for one in said])

    assert evaluate.score(said, answers).rate <= 0.05
    off = evaluate.times(said, answers)
    assert off.start_ms <= FRAME_MS and off.end_ms <= FRAME_MS


def test_silence_and_noise_are_no_words(model: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-3, 32_000).astype(np.float32)

    found = evaluate.read(model, [np.zeros(32_000, np.float32), noise])

    assert [one.text for one in found] == ["", ""]
    assert all(one.words == () and one.spans_s.shape == (0, 2) for one in found)


def test_times_are_compared_word_by_word() -> None:
    said = Said(np.zeros(1, np.float32), ("a", "b", "c"), ((0.0, 0.1), (0.2, 0.3), (0.4, 0.5)))
    heard = Heard("a c", ("a", "c"), np.array([(0.02, 0.1), (0.4, 0.56)]))

    off = evaluate.times([said], [heard])

    assert off.words == 2
    assert off.start_ms == pytest.approx(10)
    assert off.end_ms == pytest.approx(30)


def test_a_convolution_of_raw_log_mels_sees_normalised_ones_alike() -> None:
    torch.manual_seed(0)
    first = torch.nn.Conv2d(1, 3, 3)
    mel = -10 + 5 * torch.randn(1, 1, 9, 9)
    before = first(mel)

    expect_normalised(first)

    assert torch.allclose(first((mel + 10) / 5), before, atol=1e-4)


def test_it_starts_with_all_that_the_streaming_checkpoint_knows(tmp_path: Path) -> None:
    model = network(STREAMING, tmp_path)
    older = ASRModel.restore_from(str(STREAMING), map_location="cpu")

    known, now = older.state_dict(), model.state_dict()
    assert now.keys() <= known.keys()
    other = {name for name in now if now[name].shape != known[name].shape or not torch.equal(now[name], known[name])}
    outputs = {"joint.joint_net.1.bias", "joint.joint_net.1.weight"}
    assert other == {f"encoder.pre_encode.{name}" for name in ("conv.0.bias", "conv.0.weight", "out.weight")} | outputs
    assert all(torch.equal(now[name][: len(known[name])], known[name]) for name in outputs)
    assert model.tokenizer.tokenizer.serialized_model_proto() == older.tokenizer.tokenizer.serialized_model_proto()


@pytest.mark.slow
@pytest.mark.usefixtures("flite")
def test_the_trainer_learns_and_writes_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extent = train.Extent(amount=SMALL, steps=3, minutes=math.inf, peak_rate=1e-3, look_every=100, every=50)

    train.train(extent, older=STREAMING, out=tmp_path / "new.nemo", cache=tmp_path / "cache", seed=1)

    told = capsys.readouterr().out
    assert "step 3" in told and "| known sentences |" in told
    made = evaluate.load(tmp_path / "new.nemo").state_dict()
    untrained = network(STREAMING, tmp_path)
    changed = [name for name, weight in untrained.state_dict().items() if not torch.equal(made[name], weight)]
    assert {name.split(".")[0] for name in changed} == {"encoder", "decoder", "joint"}
    assert all(made[name].isfinite().all() for name in changed)
