"""The bare model's process, with the real v3 model: questions, answers, and why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from yapbench.benchgpu.bare import Bare, BareFailed, write_clips
from yapbench.benchgpu.declared import CHECKOUT
from yapbench.corpus import Corpus
from yapbench.envs import interpreter

PROGRAM = CHECKOUT / "benchmarks" / "bare" / "smart_turn.py"


def bare(tmp_path: Path, **mode: Any) -> Bare:
    write_clips(Corpus.load(kind="turn"), tmp_path / "clips.npz")
    return Bare(
        PROGRAM,
        python=interpreter("light"),
        mode=mode,
        clips=tmp_path / "clips.npz",
        checkout=CHECKOUT,
        log_path=tmp_path / "bare.log",
    )


def test_clips_are_what_a_client_sends(tmp_path: Path) -> None:
    corpus = Corpus.load(kind="turn")
    write_clips(corpus, tmp_path / "clips.npz")
    with np.load(tmp_path / "clips.npz") as stored:
        assert len(stored.files) == len(corpus)
        assert all(np.array_equal(stored[str(n)], each.audio(16_000)) for n, each in enumerate(corpus))


@pytest.mark.slow
def test_it_answers_every_batch_size_with_its_calls(tmp_path: Path) -> None:
    with bare(tmp_path, model="v3-onnx", device="cpu") as model:
        facts = model.facts(timeout_s=60)
        one, two = model.ask([1, 2], seconds=0.05, timeout_s=60)
        (again,) = model.ask([2], seconds=0.05, timeout_s=60)
    assert (facts["device"], facts["dtype"]) == ("cpu", "int8")
    assert one["items"] == len(one["call_ms"]) and two["items"] == 2 * len(two["call_ms"]) and again["batch_size"] == 2
    assert sum(two["call_ms"]) <= 1e3 * two["seconds"] and two["compile"] == {"state": "off"}


@pytest.mark.slow
def test_what_it_cannot_run_is_said_in_its_words(tmp_path: Path) -> None:
    with bare(tmp_path, model="v3-onnx", device="cuda") as model, pytest.raises(BareFailed, match="CPU only"):
        model.facts(timeout_s=60)


@pytest.mark.slow
def test_one_that_dies_is_noticed_and_one_that_is_stopped_is_gone(tmp_path: Path) -> None:
    with bare(tmp_path, model="v3-onnx", device="cpu") as model:
        model.facts(timeout_s=60)
        (process,) = [p for p in psutil.Process().children() if str(PROGRAM) in p.cmdline()]
        process.kill()
        with pytest.raises(BareFailed, match="it ended"):
            model.ask([1], seconds=0.05, timeout_s=60)
    assert not process.is_running()
