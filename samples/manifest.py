"""manifest.jsonl: one clip per line. A strict reader that names file and line of every mistake, and the writer.

Knows nothing of how clips are made. File paths are relative to the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from samples.errors import BadRow
from samples.pool import Split
from samples.word import Word

SCHEMA: Final = 1

_A_DAY_S: Final = 86400
_Choice = TypeVar("_Choice", bound=StrEnum)


class Kind(StrEnum):
    """What a clip is for."""

    TURN = "turn"  # labelled, to judge end-of-turn detection
    PARAGRAPH = "paragraph"  # reference speech
    EXTRA = "extra"


class Label(StrEnum):
    """Whether the speaker of a turn has finished."""

    COMPLETE = "complete"
    CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One line. Times in seconds from the first sample; `words` may be empty, `word_error_s` is None just then."""

    id: str
    file: str
    text: str
    language: str
    words: tuple[Word, ...]
    word_error_s: float | None
    speech_end_s: float
    duration_s: float
    voice: str
    seed: int
    licence: str
    label: Label | None
    split: Split
    kind: Kind


def load(path: Path) -> list[Clip]:
    """Reads `path`. Raises BadRow (file, line, problem) for the first mistake, OSError if it cannot be read."""
    clips: list[Clip] = []
    line_of: dict[str, int] = {}
    for line, text in enumerate(path.read_bytes().splitlines(), start=1):
        row = _Row(path, line, _object(path, line, text))
        clip = _clip(row)
        if clip.id in line_of:
            raise row.bad(f"id {clip.id!r} is already used in line {line_of[clip.id]}")
        line_of[clip.id] = line
        clips.append(clip)
    if not clips:
        raise BadRow(path, 1, "no clip in the file")
    return clips


def write(path: Path, clips: Iterable[Clip]) -> None:
    """Writes one line per clip, in the order given."""
    lines = [json.dumps({"schema": SCHEMA, **asdict(clip)}, ensure_ascii=False) for clip in clips]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


FIELDS: Final = frozenset(("schema", *Clip.__dataclass_fields__))


def _object(path: Path, line: int, text: bytes) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise BadRow(path, line, f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadRow(path, line, "not a JSON object")
    return row


@dataclass(frozen=True)
class _Row:
    """One line under inspection; every check that fails names the field."""

    path: Path
    line: int
    values: dict[str, Any]

    def bad(self, problem: str) -> BadRow:
        return BadRow(self.path, self.line, problem)

    def text(self, field: str) -> str:
        value = self.values[field]
        if not isinstance(value, str) or not value.strip():
            raise self.bad(f"{field} must be a text that is not empty, not {value!r}")
        return value

    def seconds(self, field: str, value: Any) -> float:
        # A bool is an int to Python, and Python's JSON reader accepts NaN, Infinity and integers of any size.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _A_DAY_S:
            raise self.bad(f"{field} must be seconds, from 0 to a day, not {value!r}")
        return float(value)

    def choice(self, field: str, kind: type[_Choice]) -> _Choice:
        value = self.values[field]
        if value not in list(kind):
            raise self.bad(f"{field} must be one of {', '.join(kind)}, not {value!r}")
        return kind(value)


def _clip(row: _Row) -> Clip:
    if missing := FIELDS - row.values.keys():
        raise row.bad(f"missing field {', '.join(sorted(missing))}")
    if unknown := row.values.keys() - FIELDS:
        raise row.bad(f"unknown field {', '.join(sorted(unknown))}")
    if row.values["schema"] != SCHEMA or isinstance(row.values["schema"], bool):
        raise row.bad(f"schema must be {SCHEMA}, not {row.values['schema']!r}")
    seed = row.values["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise row.bad(f"seed must be a whole number, 0 or more, not {seed!r}")
    duration_s = row.seconds("duration_s", row.values["duration_s"])
    speech_end_s = row.seconds("speech_end_s", row.values["speech_end_s"])
    if not 0 < speech_end_s <= duration_s:
        raise row.bad(f"speech_end_s {speech_end_s} must lie in the clip's {duration_s} s")
    kind = row.choice("kind", Kind)
    label = None if row.values["label"] is None else row.choice("label", Label)
    if (kind is Kind.TURN) != (label is not None):
        raise row.bad(f"label must be given for a turn and for nothing else, not {label!r} for kind {kind.value}")
    words, word_error_s = _words(row, duration_s)
    return Clip(
        id=row.text("id"),
        file=_file(row),
        text=row.text("text"),
        language=row.text("language"),
        words=words,
        word_error_s=word_error_s,
        speech_end_s=speech_end_s,
        duration_s=duration_s,
        voice=row.text("voice"),
        seed=seed,
        licence=row.text("licence"),
        label=label,
        split=row.choice("split", Split),
        kind=kind,
    )


def _file(row: _Row) -> str:
    name = row.text("file")
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or "\\" in name:
        raise row.bad(f"file {name!r} must be a relative path below the manifest, with forward slashes")
    if not (row.path.parent / name).is_file():
        raise row.bad(f"file {name!r} does not exist")
    return name


def _words(row: _Row, duration_s: float) -> tuple[tuple[Word, ...], float | None]:
    listed, error = row.values["words"], row.values["word_error_s"]
    if not isinstance(listed, list):
        raise row.bad(f"words must be a list, not {listed!r}")
    if bool(listed) != (error is not None):
        raise row.bad(f"word_error_s must be null just when words is empty, not {error!r}")
    words = tuple(_word(row, f"words[{index}]", value) for index, value in enumerate(listed))
    ended_s = 0.0
    for index, word in enumerate(words):
        if not ended_s <= word.start_s < word.end_s <= duration_s:
            raise row.bad(
                f"words[{index}] {word.word!r}: {word.start_s} to {word.end_s} s is out of order, "
                f"after {ended_s} s in a clip of {duration_s} s"
            )
        ended_s = word.end_s
    return words, None if error is None else row.seconds("word_error_s", error)


def _word(row: _Row, field: str, value: Any) -> Word:
    if not isinstance(value, dict) or value.keys() != {"word", "start_s", "end_s"}:
        raise row.bad(f"{field} must have word, start_s and end_s and nothing else, not {value!r}")
    if not isinstance(value["word"], str) or not value["word"]:
        raise row.bad(f"{field}.word must be a text that is not empty, not {value['word']!r}")
    start_s = row.seconds(f"{field}.start_s", value["start_s"])
    return Word(value["word"], start_s, row.seconds(f"{field}.end_s", value["end_s"]))
