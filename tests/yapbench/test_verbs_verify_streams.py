"""Verify of a server that transcribes: what /status says, texts that are always the same, and how wrong they may be."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from servers.common import hub
from servers.fastconformer import weights
from servers.kyutai import weights as kyutai
from servers.parakeet import weights as parakeet
from servers.voxtral import weights as voxtral
from yapbench import envs
from yapbench.corpus import Utterance
from yapbench.schema import Outcome
from yapbench.verbs import expected, transcribing, verify
from yapbench.verbs.transcribing import Transcript

NEMO, TORCH = envs.environment("nemo"), envs.environment("torch")
STATUS: dict[str, Any] = {
    "model": {"model_id": "tiny", "sha256": "ab" * 32},
    "decoder": "rnnt",
    "dtype": "torch.float32",
    "sample_rate_hz": 16_000,
    "vocabulary": 256,
    "look_ahead_ms": 80,
    "look_aheads_ms": [0, 80, 480, 1040],
}
LIGHTS = Utterance(id="lights", duration_s=1.0, sample_rate_hz=16_000, text="Turn on the lights.", language="en")
HEARD = Transcript(LIGHTS, Outcome.OK, "turn on the lights", "")


def checks(heard: list[Transcript], **changed: Any) -> dict[str, bool | None]:
    found = transcribing.checks("fastconformer", STATUS | changed, [*heard, heard[0]])
    return {check.what: check.ok for check in found}


def test_a_server_that_is_well() -> None:
    found = checks([HEARD])
    assert found.pop("texts") is None  # nothing is known of these weights
    assert set(found) == {"sample rate", "vocabulary", "look-ahead", "answers", "always the same", "WER"}
    assert all(found.values())


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("sample rate", {"sample_rate_hz": 24_000}),
        ("vocabulary", {"vocabulary": 0}),
        ("look-ahead", {"look_ahead_ms": 160}),
    ],
)
def test_a_status_that_cannot_be_is_found_out(what: str, changed: dict[str, Any]) -> None:
    assert [name for name, ok in checks([HEARD], **changed).items() if ok is False] == [what]


def test_a_failure_is_said_and_counts_as_words() -> None:
    found = checks([replace(HEARD, outcome=Outcome.SERVER_ERROR, text="", error="boom")])
    assert found["answers"] is False and found["WER"] is False and "always the same" not in found


def test_another_text_for_the_same_audio_is_found_out() -> None:
    found = transcribing.checks("fastconformer", STATUS, [HEARD, replace(HEARD, text="turn off the lights")])
    (check,) = [one for one in found if one.what == "always the same"]
    assert check.ok is False and "turn off" in check.said


def test_more_than_half_of_the_words_wrong_is_no_trained_model() -> None:
    wrong = replace(HEARD, text="burn on a kite")
    assert checks([wrong])["WER"] is False
    assert checks([wrong], model={"model_id": "random", "sha256": "ab" * 32})["WER"] is None


def test_known_weights_are_held_to_their_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    how = ("ab" * 32, "rnnt", 80)
    monkeypatch.setattr(expected, "TEXTS", {how: {"lights": "turn on the lights"}})
    assert checks([HEARD])["texts"] is True
    assert checks([HEARD], dtype="torch.bfloat16")["texts"] is None
    monkeypatch.setattr(expected, "TEXTS", {how: {"lights": "turn on the light"}})
    assert checks([HEARD])["texts"] is False


def test_the_tiny_checkpoints_in_the_tree_are_the_ones_whose_texts_are_known() -> None:
    shipped = {hub.sha256(weights.TINY), hub.sha256(parakeet.TINY), hub.sha256(kyutai.TINY / kyutai.WEIGHTS)}
    shipped.add(hub.sha256(voxtral.TINY / voxtral.WEIGHTS))
    known = {how[0]: texts for how, texts in expected.TEXTS.items()}
    assert set(known) == shipped
    for texts in known.values():
        assert len(texts) >= 4 and all(transcribing.OF_TINY in name for name in texts)


def test_a_server_without_decoder_and_look_ahead_is_known_by_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "TEXTS", {("ab" * 32, "", 0): {"lights": "turn on the lights"}})
    status = {name: STATUS[name] for name in ("model", "dtype", "sample_rate_hz", "vocabulary")}
    found = {check.what: check.ok for check in transcribing.checks("parakeet", status, [HEARD, HEARD])}
    assert found["texts"] is True and "look-ahead" not in found


def test_a_delay_and_an_engine_behind_the_server_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "TEXTS", {("ab" * 32, "", 480): {"lights": "turn on the lights"}})
    status = {"model": STATUS["model"], "dtype": "float32", "transcription_delay_ms": 480}
    status["engine"] = {"available": True, "state": "ready"}
    found = {check.what: check.ok for check in transcribing.checks("voxtral", status, [HEARD, HEARD])}
    assert (found["delay"], found["engine"], found["texts"]) == (True, True, True)
    status |= {"transcription_delay_ms": 1280, "engine": {"available": False, "state": "restarting"}}
    found = {check.what: check.ok for check in transcribing.checks("voxtral", status, [HEARD, HEARD])}
    assert (found["delay"], found["engine"], found["texts"]) == (None, False, None)


@pytest.mark.slow
@pytest.mark.skipif(not NEMO.is_complete(), reason="needs environment nemo (yapbench install fastconformer)")
@pytest.mark.parametrize("server", ["fastconformer", "parakeet"])
def test_the_tiny_model_is_started_checked_and_packed(tmp_path: Path, server: str) -> None:
    check_tiny(tmp_path / "report.tar.gz", server)


@pytest.mark.slow
@pytest.mark.skipif(not TORCH.is_complete(), reason="needs environment torch (yapbench install kyutai)")
def test_the_tiny_model_of_a_server_with_seats_is_checked_with_a_key_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KYUTAI_API_KEY", raising=False)
    check_tiny(tmp_path / "report.tar.gz", "kyutai", "--lm-dtype=float32", "--seats=2")


def check_tiny(path: Path, server: str, *flags: str) -> None:
    assert verify.verify(server, ["--model=tiny", "--device=cpu", *flags, f"--output={path}"]) == 0
    with tarfile.open(path) as archive:
        (member,) = [one for one in archive.getmembers() if one.name.endswith("checks.json")]
        file = archive.extractfile(member)
        assert file is not None
        found = {check["what"]: check["ok"] for check in json.load(file)}
    assert all(found.values())
    assert {"revision", "sha256", "vocabulary", "always the same", "texts", "WER"} <= set(found)
