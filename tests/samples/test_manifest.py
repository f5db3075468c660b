"""The reader names file and line of every mistake and never lets a wrong row through."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples.errors import BadRow
from samples.manifest import FIELDS, Clip, load, write

GOOD: dict[str, Any] = {
    "schema": 1,
    "id": "one",
    "file": "one.flac",
    "text": "Yes, please.",
    "language": "en",
    "words": [
        {"word": "Yes", "start_s": 0.1, "end_s": 0.4},
        {"word": "please", "start_s": 0.4, "end_s": 0.9},
    ],
    "word_error_s": 0.03,
    "speech_end_s": 0.9,
    "duration_s": 1.1,
    "voice": "slt",
    "seed": 0,
    "licence": "CC0-1.0",
    "label": "complete",
    "split": "train",
    "kind": "turn",
}


def manifest(folder: Path, *rows: Any) -> Path:
    (folder / "one.flac").touch()
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_good_row_is_read(tmp_path: Path) -> None:
    (clip,) = load(manifest(tmp_path, GOOD))
    assert (clip.id, clip.label, clip.kind, clip.split) == ("one", "complete", "turn", "train")
    assert [word.word for word in clip.words] == ["Yes", "please"]


def test_committed_manifest_reads_back_as_written(audio: Path, clips: list[Clip], tmp_path: Path) -> None:
    for clip in clips:
        (tmp_path / clip.file).parent.mkdir(exist_ok=True)
        (tmp_path / clip.file).touch()
    write(tmp_path / "manifest.jsonl", clips)
    assert load(tmp_path / "manifest.jsonl") == clips
    assert (tmp_path / "manifest.jsonl").read_bytes() == (audio / "manifest.jsonl").read_bytes()


YES, PLEASE = GOOD["words"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": 2}, "schema must be 1"),
        ({"schema": True}, "schema must be 1"),
        ({"id": ""}, "id must be a text"),
        ({"file": "two.flac"}, "file 'two.flac' does not exist"),
        ({"file": "../one.flac"}, "relative path"),
        ({"file": "/one.flac"}, "relative path"),
        ({"text": 3}, "text must be a text"),
        ({"duration_s": "1.1"}, "duration_s must be seconds"),
        ({"duration_s": float("nan")}, "duration_s must be seconds"),
        ({"duration_s": 10**400}, "duration_s must be seconds"),
        ({"duration_s": True}, "duration_s must be seconds"),
        ({"speech_end_s": 1.2}, "speech_end_s 1.2 must lie in"),
        ({"speech_end_s": 0}, "must lie in"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": False}, "seed must be a whole number"),
        ({"label": "done"}, "label must be one of complete, cut"),
        ({"label": None}, "label must be given for a turn"),
        ({"kind": "extra"}, "label must be given for a turn"),
        ({"split": "test"}, "split must be one of train, held_out"),
        ({"kind": ["turn"]}, "kind must be one of"),
        ({"words": None}, "words must be a list"),
        ({"words": []}, "word_error_s must be null just when"),
        ({"word_error_s": None}, "word_error_s must be null just when"),
        ({"words": [PLEASE, YES]}, r"words\[1\] 'Yes'.*out of order"),
        ({"words": [{**YES, "end_s": 0.5}, PLEASE]}, "out of order"),
        ({"words": [{**YES, "end_s": 0.1}]}, "out of order"),
        ({"words": [{**YES, "end_s": 1.2}]}, "out of order"),
        ({"words": [{"word": "Yes", "start_s": 0.1}]}, r"words\[0\] must have word, start_s and end_s"),
        ({"words": [{**YES, "word": ""}]}, r"words\[0\].word must be a text"),
        ({"words": [{**YES, "start_s": -1}]}, r"words\[0\].start_s must be seconds"),
        ({"sample_rate": 16000}, "unknown field sample_rate"),
    ],
)
def test_mistake_is_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, {**GOOD, "id": "zero"}, {**GOOD, **change})
    with pytest.raises(BadRow, match=says) as error:
        load(path)
    assert str(error.value).startswith(f"{path}:2: ")


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_missing_field_is_named(field: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, {key: value for key, value in GOOD.items() if key != field})
    with pytest.raises(BadRow, match=f"manifest.jsonl:1: missing field {field}$"):
        load(path)


@pytest.mark.parametrize(
    ("line", "says"), [(b"{", "not JSON"), (b"", "not JSON"), (b"\xff", "not JSON"), (b"[]", "JSON object")]
)
def test_line_that_is_no_object_is_named(line: bytes, says: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, GOOD)
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(BadRow, match=f":2: .*{says}"):
        load(path)


def test_duplicate_id_names_both_lines(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r":3: id 'one' is already used in line 1"):
        load(manifest(tmp_path, GOOD, {**GOOD, "id": "two"}, GOOD))


def test_empty_manifest_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match="no clip"):
        load(manifest(tmp_path))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(FIELDS)), anything)
def test_any_value_is_refused_by_name_or_kept(field: str, value: Any) -> None:
    row = {**GOOD, field: value}
    with tempfile.TemporaryDirectory() as folder:
        path = manifest(Path(folder), row)
        try:
            clips = load(path)
        except BadRow:
            return
        write(path, clips)
        assert json.loads(path.read_bytes()) == row
