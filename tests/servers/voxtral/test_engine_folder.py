"""The engine's private copy of a model's folder: links, and one file of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from servers.common.errors import StartupRefused
from servers.voxtral.engine.folder import private_copy, write_atomically
from tests.servers.voxtral.engine_folder import model_folder


def delay_of(folder: Path) -> object:
    return json.loads((folder / "tekken.json").read_text())["audio"]["transcription_delay_ms"]


def test_links_and_a_tekken_of_its_own(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "model")
    before = (source / "tekken.json").read_bytes()
    copy = private_copy(source, tmp_path / "copies", delay_ms=240)
    assert delay_of(copy) == 240 and not (copy / "tekken.json").is_symlink()
    assert (copy / "consolidated.safetensors").readlink() == source / "consolidated.safetensors"
    assert (source / "tekken.json").read_bytes() == before


def test_of_a_hub_s_cache_the_blobs_are_linked_and_left_alone(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    model_folder(blobs)
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(blob)
    before = {path.name: path.read_bytes() for path in blobs.iterdir()}
    copy = private_copy(snapshot, tmp_path / "copies", delay_ms=80)
    assert (copy / "params.json").readlink() == blobs / "params.json" and delay_of(copy) == 80
    assert {path.name: path.read_bytes() for path in blobs.iterdir()} == before


def test_each_delay_has_its_own_and_the_same_is_found_again(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "model")
    first, second = (private_copy(source, tmp_path / "copies", delay_ms=delay_ms) for delay_ms in (80, 480))
    inode = (first / "tekken.json").stat().st_ino
    assert first != second and (delay_of(first), delay_of(second)) == (80, 480)
    assert private_copy(source, tmp_path / "copies", delay_ms=80) == first
    assert (first / "tekken.json").stat().st_ino == inode


def test_a_copy_follows_its_source(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "model")
    copy = private_copy(source, tmp_path / "copies", delay_ms=80)
    (source / "params.json").unlink()
    (source / "more.json").write_text("{}")
    (copy / "tekken.json").write_text("half of i")
    assert private_copy(source, tmp_path / "copies", delay_ms=80) == copy
    assert sorted(path.name for path in copy.iterdir()) == ["consolidated.safetensors", "more.json", "tekken.json"]
    assert delay_of(copy) == 80


@pytest.mark.parametrize(
    ("tekken", "words"),
    [
        ("{", "no settings for audio"),
        ("{}", "no settings for audio"),
        ('{"audio": null}', "no settings for audio"),
        ('{"audio": {"transcription_format": "instruct"}}', "does not stream"),
    ],
)
def test_what_is_no_streaming_tokenizer_is_refused(tmp_path: Path, tekken: str, words: str) -> None:
    source = model_folder(tmp_path / "model")
    (source / "tekken.json").write_text(tekken)
    with pytest.raises(StartupRefused, match=words):
        private_copy(source, tmp_path / "copies", delay_ms=80)
    assert not (tmp_path / "copies").exists()


def test_a_place_that_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupRefused, match="VOXTRAL_MODEL_DIR"):
        private_copy(model_folder(tmp_path / "model"), tmp_path / "file", delay_ms=80)


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tekken.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
