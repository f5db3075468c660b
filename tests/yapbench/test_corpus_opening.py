"""Folders and files of audio become a corpus, or the first mistake in them is named with its file and line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.real_speech import folders
from tests.yapbench.audio_files import write
from yapbench.corpora.opening import PARAGRAPHS, SMALL_WORLD, open_corpus
from yapbench.errors import UsageError


def librispeech(root: Path) -> Path:
    """Two chapters of two speakers, as LibriSpeech lays them out."""
    for chapter in ("84/121123", "174/50561"):
        name = chapter.replace("/", "-")
        for number in (0, 1):
            write(root / chapter / f"{name}-000{number}.flac", seconds=0.3 + 0.1 * number)
        lines = f"{name}-0000 GO DO YOU HEAR\n{name}-0001 BUT IN LESS THAN FIVE MINUTES\n"
        (root / chapter / f"{name}.trans.txt").write_text(lines)
    return root


def test_librispeech_folders_are_read_at_any_depth(tmp_path: Path) -> None:
    root = librispeech(tmp_path / "test-clean")
    corpus = open_corpus(str(root), need_text=True)
    assert (corpus.name, len(corpus)) == ("test-clean", 4)
    first = corpus.utterances[0]
    assert (first.id, first.text, first.language) == ("174-50561-0000", "GO DO YOU HEAR", "en")
    assert first.duration_s == pytest.approx(0.3)
    assert [one.id for one in open_corpus(f"{root / '84'}?limit=1&language=de")] == ["84-121123-0000"]
    shutil.copytree(root, tmp_path / "moved")
    assert open_corpus(tmp_path / "moved").sha256 == corpus.sha256


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


CLIP, SECOND, LINES = "84-121123-0000.flac", "84-121123-0001.flac", "84-121123.trans.txt"
TWICE = "84-121123-0000 HI\n84-121123-0000 HI\n"
NO_TEXT = "84-121123-0000 HI\n84-121123-0001\n"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no audio": (lambda at: (at / SECOND).unlink(), f"{LINES}:2: transcript without audio: no {SECOND}"),
    "no line": (lambda at: write(at / "84-121123-0007.flac"), "84-121123-0007.flac: audio without transcript"),
    "not audio": (lambda at: (at / CLIP).write_text("hello"), f"{LINES}:1: {CLIP}: cannot be decoded"),
    "cut": (lambda at: cut_in_half(at / CLIP), f"{LINES}:1: {CLIP}: "),
    "empty": (lambda at: (at / SECOND).write_bytes(b""), f"{LINES}:2: {SECOND}: cannot be decoded"),
    "no text": (lambda at: (at / LINES).write_text(NO_TEXT), f"{LINES}:2: 84-121123-0001: no text"),
    "twice": (lambda at: (at / LINES).write_text(TWICE), f"{LINES}:2: id '84-121123-0000' was used in "),
    "not text": (lambda at: (at / LINES).write_bytes(b"\xff\xfe\xff"), f"{LINES}: cannot be read"),
    "no lines": (lambda at: (at / LINES).write_text("\n"), f"{CLIP}: audio without transcript"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistake_in_a_librispeech_folder_is_named(tmp_path: Path, fault: str) -> None:
    break_it, words = FAULTS[fault]
    chapter = librispeech(tmp_path) / "84" / "121123"
    break_it(chapter)
    with pytest.raises(UsageError) as caught:
        open_corpus(tmp_path, need_text=True)
    assert words in str(caught.value)
    assert str(chapter) in str(caught.value)


def test_a_single_file_has_its_words_beside_it_or_in_its_name_or_none(tmp_path: Path) -> None:
    path = write(tmp_path / "call.wav", rate_hz=8000)
    assert [(one.id, one.text) for one in open_corpus(path)] == [("call", None)]
    (tmp_path / "call.txt").write_text("Good\nmorning.\n")
    assert [one.text for one in open_corpus(path, need_text=True)] == ["Good morning."]
    (given,) = open_corpus(f"{path}?text=Hello.&language=en", need_text=True)
    assert (given.text, given.language, given.duration_s) == ("Hello.", "en", 0.5)


def test_a_folder_of_audio_needs_all_its_transcripts_or_none(tmp_path: Path) -> None:
    for name in ("b.wav", "sub/a.flac"):
        write(tmp_path / name)
    assert [one.id for one in open_corpus(tmp_path)] == ["b", "sub/a"]
    (tmp_path / "b.txt").write_text("Hello.")
    with pytest.raises(UsageError, match=r"sub/a\.flac: audio without transcript: no a\.txt"):
        open_corpus(tmp_path)
    (tmp_path / "sub" / "a.txt").write_text("Good morning.")
    assert [one.text for one in open_corpus(tmp_path, need_text=True)] == ["Hello.", "Good morning."]
    (tmp_path / "c.txt").write_text("Nobody says this.")
    with pytest.raises(UsageError, match=r"c\.txt: transcript without audio"):
        open_corpus(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.wav"), write(tmp_path / "a.flac")
    with pytest.raises(UsageError, match=r"a\.wav: has the same id as a\.flac"):
        open_corpus(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", r"a\.txt:1: a: no text"), ("Um.", r"a\.txt:1: a: no word is left of 'Um\.'")],
)
def test_a_reference_without_a_word_is_refused_where_wer_is_wanted(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_text(text)
    assert len(open_corpus(f"{path}?language=en")) == 1
    with pytest.raises(UsageError, match=words):
        open_corpus(f"{path}?language=en", need_text=True)


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    broken = np.full(8000, 0.1, np.float32)
    broken[4000] = np.nan
    soundfile.write(tmp_path / "a.wav", broken, 8000, subtype="FLOAT")
    with pytest.raises(UsageError, match=r"a\.wav: holds samples that are not numbers"):
        open_corpus(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("suffix", "words"),
    [(".wav", "is cut short: 16021 bytes"), (".flac", "cannot be decoded beyond"), (".mp3", "ends after 0")],
)
def test_a_file_that_was_not_copied_to_its_end_is_refused(tmp_path: Path, suffix: str, words: str) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.3, 0.3, 16_000), 16_000)
    assert len(open_corpus(path)) == 1
    cut_in_half(path)
    with pytest.raises(UsageError, match=rf"a{suffix}: {words}"):
        open_corpus(path)


def test_a_wav_from_a_pipe_has_no_size_and_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff\xff\xff\xff" + content[8:])
    assert [one.duration_s for one in open_corpus(path)] == [0.5]


def test_a_field_that_means_nothing_there_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    (tmp_path / "empty").mkdir()
    for asked, words in (
        (f"{tmp_path / 'a.wav'}?kind=turn", "kind 'turn' does not apply: .* has no manifest.jsonl"),
        (f"{tmp_path / 'a.wav'}?text=a&text=b", "2 texts are given for the one file"),
        (f"{tmp_path}?text=a", "a text belongs to one file"),
        ("samples?text=a", "has a manifest with texts of its own"),
        (f"{tmp_path / 'empty'}", r"expected manifest\.jsonl, \*\.trans\.txt files or audio"),
        (f"{tmp_path / 'nowhere'}", "nowhere': no such file or folder; allowed: a path, samples"),
    ):
        with pytest.raises(UsageError, match=words):
            open_corpus(asked)


def test_the_projects_own_samples_are_chosen_by_kind() -> None:
    assert {one.label for one in open_corpus(None)} == {"complete", "cut"}
    paragraphs = open_corpus(None, default=PARAGRAPHS, need_text=True)
    assert {one.label for one in paragraphs} == {None}
    assert {one.language for one in paragraphs} == {"en"}
    assert all(one.words and one.speech_end_s for one in paragraphs)
    assert {one.label for one in open_corpus("samples?kind=extra", kind="turn")} == {None}
    assert {one.label for one in open_corpus("samples", kind="turn")} == {"complete", "cut"}


def test_real_speech_opens_with_references() -> None:
    manifests = [folder for folder in folders() if (folder / "manifest.jsonl").is_file()]
    if not manifests:
        pytest.skip("needs YAPBENCH_SPEECH, a folder of real speech")
    for folder in manifests:
        corpus = open_corpus(folder, need_text=True)
        assert all(one.duration_s > 0 and one.text for one in corpus)


def test_streams_take_a_manifests_lines_but_its_turns(tmp_path: Path) -> None:
    write(tmp_path / "a.wav")
    lines = [{"id": "plain"}, {"id": "named", "kind": "call"}, {"id": "turn", "label": "cut"}]
    text = "\n".join(json.dumps({"file": "a.wav", "text": "hello", **line}) for line in lines)
    (tmp_path / "manifest.jsonl").write_text(text)
    assert [one.id for one in open_corpus(tmp_path, but="turn")] == ["plain", "named"]
    assert [one.id for one in open_corpus(f"{tmp_path}?kind=turn", but="turn")] == ["turn"]
    with pytest.raises(UsageError, match="no utterance with label=cut; kinds: None, call, turn"):
        open_corpus(f"{tmp_path}?label=cut", but="turn")


def test_samples_can_be_chosen_by_a_pattern_of_their_ids() -> None:
    found = open_corpus(SMALL_WORLD, but="turn", need_text=True)
    assert len(found) == 32
    assert all("-tiny-" in one.id and one.label == "complete" for one in found)
    assert [one.id for one in open_corpus("samples?id=turn-cut-tiny-00?-*")] == ["turn-cut-tiny-008-rms-p0.90"]
    with pytest.raises(UsageError, match="no utterance with id=turn-tiny; kinds: "):
        open_corpus("samples?id=turn-tiny")


def test_a_folder_without_a_manifest_has_no_ids_to_choose_by(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"id 'a' does not apply: .* has no manifest"):
        open_corpus(f"{librispeech(tmp_path / 'l')}?id=a")
