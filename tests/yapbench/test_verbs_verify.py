"""Verify finds a server that is not what it should be, and its bundle holds neither keys nor audio."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from yapbench import process
from yapbench.catalog import CATALOG, lookup
from yapbench.errors import UsageError
from yapbench.verbs import bundle, expected, fetch, verify
from yapbench.verbs.transcribing import Check


def texts_of(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[Path(member.name).name] = file.read().decode()
    return found


def checks_of(path: Path) -> dict[str, Check]:
    return {check["what"]: Check(**check) for check in json.loads(texts_of(path)["checks.json"])}


@pytest.mark.slow
def test_a_server_is_started_checked_and_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATUS_KEY", "very-hidden")
    monkeypatch.setenv("ECHO_KEY", "hidden-one,hidden-two")
    path = tmp_path / "report.tar.gz"
    assert verify.verify("echo", [f"--output={path}", "--seed=3"]) == 0
    said = capsys.readouterr().out
    assert "ok    answers: 8 of 8 clips answered" in said and str(path) in said
    texts = texts_of(path)
    assert {"checks.json", "status.json", "machine.json", "doctor.txt", "server.log"} <= set(texts)
    assert json.loads(texts["status.json"])["settings"]["seed"] == 3
    assert "listening" in texts["server.log"]
    assert not [word for word in ("very-hidden", "hidden-one", "hidden-two") if word in "".join(texts.values())]


@pytest.mark.slow
def test_a_server_that_fails_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.tar.gz"
    with process.launch("echo", settings={"error_rate": 1.0}, log_path=tmp_path / "log") as server:
        assert verify.verify("echo", [f"--url={server.url}", f"--output={path}"]) == 6
        assert verify.verify("smart_turn", [f"--url={server.url}", f"--output={path}"]) == 6
        with pytest.raises(UsageError, match="runs already"):
            verify.verify("echo", [f"--url={server.url}", "--seed=1"])
    assert "FAIL  server: echo at" in capsys.readouterr().out
    found = checks_of(path)
    assert found["server"].ok is False and found["answers"].ok is False


def test_other_weights_than_those_here_are_found_out() -> None:
    status = {"settings": {"model": "v3-onnx"}, "model": {"model_id": "pipecat-ai/smart-turn-v3", "sha256": "0" * 64}}
    found = {check.what: check for check in verify._weights(lookup("smart_turn"), status)}
    assert (found["model_id"].ok, found["sha256"].ok, found["revision"].ok) == (True, False, False)
    assert "the server says 0000" in found["sha256"].said


def test_weights_that_are_not_here_cannot_be_compared() -> None:
    status = {"settings": {"model": "no/such/file.onnx"}, "model": {"sha256": "0" * 64}}
    (check,) = verify._weights(lookup("smart_turn"), status)
    assert check.ok is None and "no such file" in check.said


@pytest.mark.slow
def test_known_weights_are_held_to_known_probabilities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.tar.gz"
    flags = [f"--output={path}", "--model=v3-onnx", "--sessions=1", "--deadline-ms=30000"]
    assert verify.verify("smart_turn", flags) == 0
    found = checks_of(path)
    assert found["sha256"].ok and found["revision"].ok and found["probabilities"].ok
    sha256 = found["sha256"].said
    wrong = {name: 1 - value for name, value in expected.PROBABILITIES[sha256].items()}
    monkeypatch.setattr(expected, "PROBABILITIES", {sha256: wrong})
    assert verify.verify("smart_turn", flags) == 6
    assert checks_of(path)["probabilities"].ok is False


def test_the_expected_answers_are_those_of_samples_that_are_there() -> None:
    for known in expected.PROBABILITIES.values():
        assert len(verify._clips(known)) == len(known) >= 4
        assert min(known.values()) < 0.5 < max(known.values())


def test_only_a_tar_gz_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.tar\.gz"):
        verify.verify("echo", [f"--output={tmp_path}/report.zip"])


def test_secrets_of_environment_and_file_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOME_TOKEN", "tok-12345")
    (tmp_path / ".env").write_text("MY_API_KEY=abc-9, tok-12345-long\n")
    texts: dict[str, Any] = {
        "log": f"{Path.home()}/x tok-12345-long tok-12345 abc-9 given Authorization: Key other /x?api_key=q\n"
    }
    path = bundle.pack(tmp_path / "b.tar.gz", texts, secrets=["given"])
    (text,) = texts_of(path).values()
    assert text == "~/x *** *** *** *** Authorization: *** /x?api_key=***\n"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".b")] == []


def test_short_values_do_not_blot_out_words() -> None:
    assert bundle.clean("on and on", ["on", ""]) == "on and on"


def test_every_catalogue_server_has_weights_or_says_that_it_has_none() -> None:
    for entry in CATALOG:
        weights = fetch.weights_of(entry)
        assert weights is None or callable(weights.identify)
