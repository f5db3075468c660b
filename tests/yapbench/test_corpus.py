"""A corpus is read strictly: every mistake names its file and line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from yapbench.corpus import Corpus, Utterance
from yapbench.errors import UsageError


def write_corpus(folder: Path, *changes: dict[str, Any]) -> Path:
    """One 1 s clip of 24 kHz for each line; a value of ... takes the field out."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, change in enumerate(changes):
        name = f"{number}.wav"
        soundfile.write(folder / name, np.full(24_000, 0.1 * number + 0.1, dtype=np.float32), 24_000)
        entry = {"id": f"clip{number}", "file": name, "text": "hello", "duration_s": 1.0, "kind": "turn"} | change
        lines.append(json.dumps({key: value for key, value in entry.items() if value is not ...}))
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_filters_keep_manifest_order(tmp_path: Path) -> None:
    folder = write_corpus(
        tmp_path,
        {"label": "cut", "split": "train", "language": "en"},
        {"label": "complete", "split": "train", "language": "fr"},
        {"kind": "paragraph", "label": None},
        {"label": "complete", "split": "held_out", "language": "en"},
    )

    def ids(**given: Any) -> list[str]:
        return [one.id for one in Corpus.load(folder, **given)]

    assert ids() == ["clip0", "clip1", "clip2", "clip3"]
    assert ids(kind="turn") == ["clip0", "clip1", "clip3"]
    assert ids(label="complete", language="en") == ["clip3"]
    assert ids(split="train", limit=1) == ["clip0"]


def test_other_manifests_are_understood(tmp_path: Path) -> None:
    folder = write_corpus(
        tmp_path, {"id": ..., "kind": ..., "label": 1}, {"duration_s": ..., "label": 0, "kind": "extra"}
    )
    first, second = Corpus.load(folder)
    assert (first.id, first.label) == ("0", "complete")
    assert (second.duration_s, second.label) == (1.0, "cut")
    assert [one.id for one in Corpus.load(folder, kind="turn")] == ["0"]  # labelled, so it is a turn


def test_audio_is_mixed_down_and_resampled(tmp_path: Path) -> None:
    stereo = np.stack([np.full(24_000, 0.5), np.zeros(24_000)], axis=1)
    soundfile.write(tmp_path / "s.flac", stereo, 24_000)
    audio = Utterance(id="s", duration_s=1.0, path=tmp_path / "s.flac").audio(16_000)
    assert audio.dtype == np.float32
    assert audio.shape == (16_000,)
    assert audio[4000:12_000] == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": ...}, "'file' is missing"),
        ({"file": "none.wav"}, "none.wav: no such file"),
        ({"file": 3}, "'file' must be text"),
        ({"id": "clip0"}, "id 'clip0' was used in line 1"),
        ({"label": "maybe"}, "label 'maybe' is neither"),
        ({"label": True}, "label True is neither"),
        ({"duration_s": 2.0}, "lasts 1.000 s, the line says 2.000 s"),
        ({"duration_s": "1"}, "'duration_s' must be a number"),
        ({"speech_end_s": 1.5}, "speech_end_s 1.5 lies behind"),
        ({"words": [{"word": "a"}]}, "'words' must be a list"),
        ({"words": 7}, "'words' must be a list"),
        ({"sample_rate_hz": 16_000}, "1.wav has 24000 Hz, the line says 16000 Hz"),
        ({"sample_rate_hz": "16k"}, "'sample_rate_hz' must be a number"),
        ({"speech_end_s": float("inf")}, "'speech_end_s' must be a number"),
        ({"words": [{"word": "a", "start_s": 0.5, "end_s": 0.2}]}, "must not go back"),
    ],
)
def test_a_mistake_names_file_and_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    folder = write_corpus(tmp_path, {}, change)
    with pytest.raises(UsageError) as caught:
        Corpus.load(folder)
    assert str(caught.value).startswith(f"{folder / 'manifest.jsonl'}:2: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(("line", "words"), [("{", "not valid JSON"), ("[1]", "not a JSON object")])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str, words: str) -> None:
    folder = write_corpus(tmp_path, {})
    with (folder / "manifest.jsonl").open("a") as file:
        file.write(line)
    with pytest.raises(UsageError, match=f"jsonl:2: {words}"):
        Corpus.load(folder)


def test_a_file_that_is_no_audio_is_named(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, {})
    (folder / "0.wav").write_text("no audio")
    with pytest.raises(UsageError, match=r"jsonl:1: 0\.wav"):
        Corpus.load(folder)


def test_a_file_that_is_damaged_behind_its_header_is_named(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, {}, {"file": "1.flac"})
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 24_000)
    soundfile.write(folder / "1.flac", noise, 24_000)
    content = (folder / "1.flac").read_bytes()
    (folder / "1.flac").write_bytes(content[: len(content) // 2])
    assert soundfile.info(folder / "1.flac").duration == 1.0
    with pytest.raises(UsageError, match=r"jsonl:2: 1\.flac: (cannot be decoded beyond|ends after) 0\."):
        Corpus.load(folder)


def test_audio_of_no_length_is_named(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, {"duration_s": ...})
    soundfile.write(folder / "0.wav", np.zeros(0, np.float32), 24_000)
    with pytest.raises(UsageError, match=r"jsonl:1: 0\.wav: holds no audio"):
        Corpus.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": ...}, "clip1: no text, and a word error rate needs a reference"),
        ({"text": " "}, "clip1: no text"),
        ({"text": "Um, ...", "language": "en"}, "clip1: no word is left of 'Um, ...'"),
    ],
)
def test_a_reference_is_needed_only_where_wer_is_wanted(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    folder = write_corpus(tmp_path, {}, change)
    assert len(Corpus.load(folder)) == 2
    assert len(Corpus.load(folder, limit=1, need_text=True)) == 1
    with pytest.raises(UsageError) as caught:
        Corpus.load(folder, need_text=True)
    assert str(caught.value).startswith(f"{folder / 'manifest.jsonl'}:2: {words}")


def test_nothing_that_matches_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no utterance with kind=tunr; kinds: turn"):
        Corpus.load(write_corpus(tmp_path, {}), kind="tunr")
    with pytest.raises(UsageError, match=r"manifest\.jsonl: cannot be read"):
        Corpus.load(tmp_path / "none")


def test_the_hash_covers_audio_and_words_but_not_the_place(tmp_path: Path) -> None:
    one, same = Corpus.load(write_corpus(tmp_path / "a", {}, {})), Corpus.load(write_corpus(tmp_path / "b", {}, {}))
    assert one.sha256 == same.sha256
    other = Corpus.load(write_corpus(tmp_path / "b", {}, {"text": "other"}))
    soundfile.write(tmp_path / "a" / "1.wav", np.full(24_000, 0.9, dtype=np.float32), 24_000)
    changed = Corpus.load(tmp_path / "a")
    assert len({one.sha256, other.sha256, changed.sha256, Corpus.load(tmp_path / "a", limit=1).sha256}) == 4
    assert one.facts() == {"name": "a", "sha256": one.sha256, "note": "", "utterances": 2, "audio_s": 2.0}


def test_ids_are_unique_and_facts_are_part_of_the_hash() -> None:
    one = Utterance(id="a", duration_s=1.0, samples=np.zeros(4, np.float32), sample_rate_hz=4)
    with pytest.raises(UsageError, match="corpus 'c': two utterances have the same id, 'a'"):
        Corpus.of("c", [one, one])
    told = [Corpus.of("c", [replace(one, facts=facts)]).sha256 for facts in ({}, {"snr_db": 5.0}, {"snr_db": 6.0})]
    assert len(set(told)) == 3


def test_the_samples_of_this_repository_load() -> None:
    turns = Corpus.load(kind="turn")
    assert {one.label for one in turns} == {"complete", "cut"}
