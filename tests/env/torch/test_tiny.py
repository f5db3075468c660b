"""The checkpoint of --model=tiny: what it is, what it answers, how well it judges, and that its trainer runs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from samples.errors import EngineMissing
from samples.pool import Split
from samples.speech import speak
from samples.voices import Voice
from servers.smart_turn.model_v2 import SmartTurnV2
from servers.smart_turn.model_v2_load import load_network
from servers.smart_turn.tiny import data, evaluate
from servers.smart_turn.tiny.hearing import BANDS, mel_bands
from servers.smart_turn.weights import CONFIG, TINY, WEIGHTS
from tests.env.torch.reference import Reference, speech
from tests.env.torch.test_serving import ENVIRONMENT, ROOT, command, read
from tests.server_port import wait_for_port

CPU = torch.device("cpu")
LENGTHS_S = (0.02, 0.5, 1.3, 2.2, 4.0, 7.9, 16.0)


def reference(folder: Path) -> Reference:
    """transformers' own classes with a checkpoint's weights, every name used."""
    found = Reference(json.loads((folder / CONFIG).read_text()))
    found.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
    return found


@pytest.fixture(scope="module")
def detector() -> SmartTurnV2:
    return SmartTurnV2(load_network(TINY), device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command("--model=tiny"), env=ENVIRONMENT, cwd=log.parent, stdout=file, stderr=file)
    try:
        yield f"http://127.0.0.1:{wait_for_port(process, log)}"
    finally:
        process.terminate()
        assert process.wait(20) == 0


@pytest.fixture
def flite() -> None:
    try:
        speak("Hello.", Voice("slt"))
    except EngineMissing:
        pytest.skip("needs flite")


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in TINY.iterdir()) <= 8_000_000


def test_it_answers_as_the_reference_does(detector: SmartTurnV2) -> None:
    theirs = reference(TINY)
    clips = [speech(seed, length_s) for seed, length_s in enumerate(LENGTHS_S)]

    assert detector.predict(clips) == pytest.approx([theirs.ask(clip) for clip in clips], abs=1e-5)


def test_the_server_answers_with_it(url: str, detector: SmartTurnV2) -> None:
    clip, body = speech(7, 3.0), io.BytesIO()
    np.save(body, clip)

    answer = read(urllib.request.Request(f"{url}/raw", data=body.getvalue()))

    assert answer["probability"] == pytest.approx(detector.predict([clip])[0], abs=1e-5)


def test_the_server_says_what_it_serves(url: str) -> None:
    status = read(f"{url}/status")

    assert (status["backend"], status["model"]["model_id"]) == ("v2-torch", "tiny")
    assert len(status["model"]["sha256"]) == 64


@pytest.mark.slow
@pytest.mark.usefixtures("flite")
@pytest.mark.parametrize(("split", "floor"), [(Split.TRAIN, 0.85), (Split.HELD_OUT, 0.85)], ids=str)
def test_it_tells_complete_from_cut(split: Split, floor: float, detector: SmartTurnV2) -> None:
    clips, labels = evaluate.committed(split)

    assert evaluate.score(detector, clips, labels)["auc"] >= floor


def test_no_held_out_sentence_is_trained_on() -> None:
    train, held_out = ({text.text for text in data.texts(split)} for split in Split)

    assert train and held_out and not train & held_out
    assert data.UNSEEN not in data.KNOWN


@pytest.mark.parametrize(
    ("scores", "expected"), [([0.1, 0.2, 0.8, 0.9], 1.0), ([0.9, 0.8, 0.2, 0.1], 0.0), ([0.5] * 4, 0.5)]
)
def test_the_area_under_the_curve(scores: list[float], expected: float) -> None:
    assert evaluate.auc(np.array(scores), np.array([False, False, True, True])) == expected


def test_every_band_is_heard() -> None:
    bands = mel_bands(400)

    assert bands.shape == (BANDS, 201)
    assert (bands.max(1) > 0).all() and bands.max() <= 1


@pytest.mark.slow
@pytest.mark.usefixtures("flite")
def test_the_trainer_learns_and_writes_a_checkpoint(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "servers.smart_turn.tiny.train", "--check", f"--out={tmp_path}"]
    subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, check=True, timeout=110)

    numbers: dict[str, Any] = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["hearing"]["last_loss"] < 0.7 * numbers["hearing"]["first_loss"]
    assert numbers["turns"]["steps"] == 10 and len(numbers["splits"]) == 6
    trained = SmartTurnV2(load_network(tmp_path), device=CPU, dtype=torch.float32)
    clip = speech(1, 2.0)
    assert trained.predict([clip])[0] == pytest.approx(reference(tmp_path).ask(clip), abs=1e-5)
