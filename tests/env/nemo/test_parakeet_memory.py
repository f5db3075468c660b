"""Out of memory: fewer chunks at once, every chunk written all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from servers.common.interfaces import Audio
from servers.parakeet.model import Parakeet
from tests.env.nemo.parakeet_models import engine_around, made_up_audio, small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("small")
    return small_model(folder)


@pytest.fixture(scope="module")
def audio() -> list[Audio]:
    return [made_up_audio(1.0 + 0.01 * seed, seed) for seed in range(8)]


def cramped(engine: Parakeet, monkeypatch: pytest.MonkeyPatch, *, fits: int) -> list[int]:
    """Its memory holds `fits` chunks from here on; returns the sizes of its calls as they come."""
    search, sizes = engine.search, list[int]()

    def limited(chunks: Any) -> Any:
        sizes.append(len(chunks))
        if len(chunks) > fits:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return search(chunks)

    monkeypatch.setattr(engine, "search", limited)
    return sizes


def test_a_batch_is_halved_until_it_fits(model: Any, audio: list[Audio], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_around(model)
    expected = [one.text for one in engine.transcribe(audio)]
    sizes = cramped(engine, monkeypatch, fits=2)

    assert [one.text for one in engine.transcribe(audio)] == expected
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert (engine.status()["largest_batch"], engine.status()["out_of_memory"]) == (2, 2)


def test_the_next_batch_begins_where_the_last_one_ended(
    model: Any, audio: list[Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_around(model)
    sizes = cramped(engine, monkeypatch, fits=3)
    expected = engine.transcribe(audio)
    sizes.clear()

    assert engine.transcribe(audio) == expected
    assert sizes == [2, 2, 2, 2]


def test_one_chunk_that_does_not_fit_is_an_error(
    model: Any, audio: list[Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_around(model)
    sizes = cramped(engine, monkeypatch, fits=0)

    with pytest.raises(torch.cuda.OutOfMemoryError):
        engine.transcribe(audio[:4])
    assert sizes == [4, 2, 1]
    assert engine.status()["largest_batch"] == 1


def test_other_errors_pass(model: Any, audio: list[Audio], monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_around(model)

    def fail(chunks: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(engine, "search", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        engine.transcribe(audio)
    assert engine.status()["out_of_memory"] == 0
