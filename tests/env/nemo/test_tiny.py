"""The tiny checkpoint: what it is, how well it reads its small world, and that its trainer runs."""

from __future__ import annotations

import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples.errors import EngineMissing
from samples.lessons import exam, texts
from samples.lessons.data import VOICES, Amount
from samples.pool import Split
from samples.speech import speak
from samples.voices import Voice
from servers.fastconformer.tiny import delay, evaluate, train
from servers.fastconformer.tiny.evaluate import TINY, Decoder
from servers.fastconformer.tiny.network import CONTEXTS, network

WIDEST = CONTEXTS[0]
SMALL = Amount(per_sentence=1, per_paragraph=1, made=30)


@pytest.fixture(scope="module")
def model() -> Any:
    return evaluate.load(TINY)


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


def test_it_is_a_streaming_hybrid_with_the_published_look_aheads(model: Any) -> None:
    assert type(model).__name__ == "EncDecHybridRNNTCTCBPEModel"
    assert [list(context) for context in model.encoder.att_context_size_all] == CONTEXTS
    assert model.cfg.preprocessor.normalize == "NA"
    assert not model.training


def test_every_word_can_be_spelled(model: Any) -> None:
    said = "quick zebras jump over my kitchen's box"

    assert model.tokenizer.ids_to_text(model.tokenizer.text_to_ids(said)) == said


@pytest.mark.parametrize("decoder", ["rnnt", "ctc"])
def test_it_reads_the_committed_turns(model: Any, decoder: Decoder) -> None:
    known, new = (exam.committed(split)[f"{split} turns"] for split in (Split.TRAIN, Split.HELD_OUT))

    assert (len(known), len(new)) == (18, 14)
    assert evaluate.score(model, known, context=WIDEST, decoder=decoder).rate <= 0.06
    assert evaluate.score(model, new, context=WIDEST, decoder=decoder).rate <= 0.25


def test_it_reads_the_committed_paragraphs(model: Any) -> None:
    known = exam.committed(Split.TRAIN)["train paragraphs"]

    assert len(known) == 5
    assert evaluate.score(model, known, context=WIDEST).rate <= 0.05


@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_it_reads_with_every_look_ahead(model: Any, context: list[int]) -> None:
    known = exam.committed(Split.TRAIN)["train turns"]

    assert evaluate.score(model, known, context=context).rate <= 0.05


@pytest.mark.usefixtures("flite")
def test_it_reads_known_sentences_at_unheard_rates(model: Any) -> None:
    said = exam.spoken(texts.known(Split.TRAIN)[::4], VOICES, turns=2)

    assert evaluate.score(model, said, context=WIDEST).rate <= 0.05


@pytest.mark.usefixtures("flite")
def test_words_are_written_soon(model: Any) -> None:
    said = exam.spoken(texts.known(Split.TRAIN)[::4], VOICES, turns=1)

    found = delay.delay(model, said, context=[70, 1])

    assert found.words >= 100
    assert 0 < found.median_ms <= 160


@pytest.mark.parametrize(("frame", "look_ahead", "expected"), [(0, 0, 0.08), (3, 1, 0.32), (4, 1, 0.48), (6, 6, 0.56)])
def test_a_frame_waits_for_its_chunk(frame: int, look_ahead: int, expected: float) -> None:
    assert delay.chunk_end_s(frame, look_ahead=look_ahead) == pytest.approx(expected)


def test_silence_and_noise_are_no_words(model: Any) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-3, 32_000).astype(np.float32)

    assert evaluate.transcripts(model, [np.zeros(32_000, np.float32), noise], context=WIDEST) == ["", ""]


@pytest.mark.slow
@pytest.mark.usefixtures("flite")
def test_the_trainer_learns_and_writes_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extent = train.Extent(amount=SMALL, steps=8, minutes=math.inf, look_every=100, every=50)

    train.train(extent, out=tmp_path / "new.nemo", cache=tmp_path / "cache", seed=1)

    told = capsys.readouterr().out
    assert "step 8" in told and "| known sentences |" in told
    made = evaluate.load(tmp_path / "new.nemo").state_dict()
    torch.manual_seed(1)
    untrained = network(tmp_path).state_dict()
    changed = [name for name in untrained if not torch.equal(made[name], untrained[name])]
    assert {name.split(".")[0] for name in changed} == {"encoder", "decoder", "joint", "ctc_decoder"}
    assert all(made[name].isfinite().all() for name in changed)
