"""What the engine writes is what NeMo's `transcribe` writes of each chunk alone, in any batch and any order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from servers.common.audio import pcm16_to_float
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.parakeet.model import LEAST_SAMPLES
from servers.parakeet.model_load import load_model
from servers.parakeet.settings import Settings
from servers.parakeet.transcript import Span, Transcript
from tests.env.nemo.clips import pcm_of, sentence_clips
from tests.env.nemo.parakeet_models import engine_around, made_up_audio, nemo_says, small_model

Plain = tuple[str, float, float]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return small_model(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def audio() -> list[Audio]:
    """Twelve chunks of 50 ms to 12 s, the ends of it among them."""
    lengths_s = [0.05, 0.5, 0.99, 1.0, 12.0, *np.random.default_rng(3).uniform(0.05, 6, 7)]
    return [made_up_audio(float(length_s), seed) for seed, length_s in enumerate(lengths_s)]


@pytest.fixture(scope="module")
def expected(model: Any, audio: list[Audio]) -> list[Any]:
    return nemo_says(model, audio)


def plain(spans: Sequence[Span]) -> list[Plain]:
    return [(span.text, span.start_s, span.end_s) for span in spans]


def placed(entries: Sequence[dict[str, Any]], key: str, audio: Audio) -> list[Plain]:
    """NeMo's entries; those of a short chunk without the silence that it got, within its own length."""
    if len(audio) >= LEAST_SAMPLES:
        return [("".join(entry[key]), entry["start"], entry["end"]) for entry in entries]
    before_s, end_s = (LEAST_SAMPLES - len(audio)) // 2 / 16_000, len(audio) / 16_000
    times = [[min(max(entry[side] - before_s, 0.0), end_s) for side in ("start", "end")] for entry in entries]
    return [("".join(entry[key]), start, end) for entry, (start, end) in zip(entries, times, strict=True)]


def check(found: Transcript, hypothesis: Any, audio: Audio) -> None:
    stamps = hypothesis.timestamp
    assert found.text == hypothesis.text
    assert plain(found.words) == placed([word for word in stamps["word"] if word["word"]], "word", audio)
    assert plain(found.segments) == placed(stamps["segment"], "segment", audio)
    assert plain(found.chars) == placed(stamps["char"], "char", audio)


def confidences(found: Sequence[Transcript]) -> list[float]:
    return [word.confidence for one in found for word in one.words]


def test_everything_is_nemos(model: Any, audio: list[Audio], expected: list[Any]) -> None:
    found = engine_around(model).transcribe(audio)

    for one, hypothesis, chunk in zip(found, expected, audio, strict=True):
        check(one, hypothesis, chunk)
    theirs = [value for hypothesis in expected for value in hypothesis.word_confidence]
    assert len(theirs) > 30
    assert np.allclose(confidences(found), theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_neither_batch_nor_order_changes_a_chunk(
    model: Any, audio: list[Audio], expected: list[Any], batch_size: int
) -> None:
    engine, rng = engine_around(model, f"--batch-size={batch_size}"), np.random.default_rng(batch_size)
    for _ in range(2):
        order = [int(index) for index in rng.permutation(len(audio))[: rng.integers(2, 17)]]
        found = engine.transcribe([audio[index] for index in order])
        for one, index in zip(found, order, strict=True):
            check(one, expected[index], audio[index])
        theirs = [value for index in order for value in expected[index].word_confidence]
        assert np.allclose(confidences(found), theirs, rtol=1e-3, atol=1e-4)


def test_lone_word_marks_and_unknown_pieces_too(
    tmp_path: Path, audio: list[Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NeMo's word confidences raise on some of these; those of its tokens do not. Marks end sentences here."""
    model = small_model(tmp_path, seed=2, bare_marks=True)
    with torch.no_grad():
        favoured = [model.tokenizer.token_to_id(piece) for piece in ("<unk>", "\u2581", ".", "?", ",")]
        model.joint.joint_net[-1].bias[favoured] += 0.15 * model.joint.joint_net[-1].bias[-6]
    audio = audio[3:8]
    found = engine_around(model).transcribe(audio)

    said = "".join(one.text for one in found)
    assert "\u2047" in said and "?" in said and sum(len(one.segments) for one in found) > len(audio)
    for one, hypothesis, chunk in zip(found, nemo_says(model, audio, words=False), audio, strict=True):
        words = [word["word"] for word in hypothesis.timestamp["word"]]
        if all(words):
            check(one, hypothesis, chunk)
        else:
            assert (one.text, [word.text for word in one.words]) == (hypothesis.text, [word for word in words if word])


def test_a_transducer_without_durations(tmp_path: Path, audio: list[Audio]) -> None:
    audio = audio[3:7]
    plain_loss = {"loss_name": "warprnnt_numba", "warprnnt_numba_kwargs": {"fastemit_lambda": 0.0, "clamp": -1.0}}
    model = small_model(
        tmp_path,
        joint={"num_extra_outputs": 0},
        loss=plain_loss,
        decoding={"model_type": "rnnt", "durations": [], "greedy": {"max_symbols": 2}},
    )
    found = engine_around(model).transcribe(audio)

    for one, hypothesis, chunk in zip(found, nemo_says(model, audio), audio, strict=True):
        check(one, hypothesis, chunk)
    assert sum(len(one.chars) for one in found) > 30


def test_the_trained_checkpoint_on_speech() -> None:
    model = load_model(load(Settings, ["--model=tiny", "--device=cpu"]), torch.device("cpu"))
    clips = [pcm16_to_float(pcm_of(clip)) for clip in sentence_clips()[:6]]
    found = engine_around(model).transcribe(clips)

    theirs = nemo_says(model, clips)
    for one, hypothesis, clip in zip(found, theirs, clips, strict=True):
        check(one, hypothesis, clip)
    assert np.allclose(
        confidences(found), [value for one in theirs for value in one.word_confidence], rtol=1e-3, atol=1e-4
    )


def test_silence_and_the_shortest_chunks_are_heard(model: Any, audio: list[Audio], expected: list[Any]) -> None:
    chunks = [part for samples in (1, 160, 320) for part in (np.zeros(samples, np.float32), audio[5][:samples])]

    found = engine_around(model).transcribe([*chunks, audio[5]])

    check(found[-1], expected[5], audio[5])
    for one, hypothesis, chunk in zip(found, nemo_says(model, chunks), chunks, strict=False):
        check(one, hypothesis, chunk)
