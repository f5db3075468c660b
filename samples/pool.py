"""The frozen pool of texts: sentences and paragraphs of our own, read from two .jsonl files next to this one.

Knows texts only: nothing of voices or audio. Clips, reference paragraphs and every tiny model's training speech
come from here, so the split decides what a model may have seen. Changing a text needs a new POOL_VERSION and
a conscious new hash in tests/samples/test_pool.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

POOL_VERSION: Final = 1

Language = Literal["en", "fr"]


class Split(StrEnum):
    """What a trainer may learn from, and what it must only be tested on."""

    TRAIN = "train"
    HELD_OUT = "held_out"


class Length(StrEnum):
    """How long a paragraph takes to speak: about 5, 10 and 15 s at an ordinary rate."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One text. `tiny`: it uses only the closed vocabulary of the tiny models."""

    id: str
    text: str
    language: Language
    split: Split
    tiny: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph(Sentence):
    """Two or more sentences to be spoken in one breath."""

    length: Length


def sentences(
    *, language: Language | None = None, split: Split | None = None, tiny: bool | None = None
) -> tuple[Sentence, ...]:
    """Sentences in file order; each argument that is given must match."""
    return tuple(s for s in _all_sentences() if _matches(s, language, split, tiny))


def paragraphs(
    *,
    language: Language | None = None,
    split: Split | None = None,
    tiny: bool | None = None,
    length: Length | None = None,
) -> tuple[Paragraph, ...]:
    """Paragraphs in file order; each argument that is given must match."""
    found = (p for p in _all_paragraphs() if _matches(p, language, split, tiny))
    return tuple(p for p in found if length is None or p.length == length)


def spoken_words(text: str) -> list[str]:
    """The words of `text` in lower case without punctuation, one per blank-separated part ("I'd" is one)."""
    return [part.strip(",.?").lower() for part in text.split()]


def tiny_vocabulary() -> tuple[str, ...]:
    """Every word of the tiny sentences, sorted. Tiny paragraphs use no other."""
    return tuple(sorted({word for s in sentences(tiny=True) for word in spoken_words(s.text)}))


def digest() -> str:
    """sha256 over version and content, independent of how the files are laid out or their lines end."""
    rows = [asdict(text) for text in (*_all_sentences(), *_all_paragraphs())]
    content = json.dumps([POOL_VERSION, rows], ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


PLAIN_TEXT: Final = re.compile(r"WORD(?:[,.?]? WORD)*[.?]".replace("WORD", r"[^\W\d_]+(?:'[^\W\d_]+)*"))
"""Letters, apostrophes within words, commas, periods, question marks, single blanks; a stop at the end."""


def _matches(text: Sentence, language: Language | None, split: Split | None, tiny: bool | None) -> bool:
    return (
        (language is None or text.language == language)
        and (split is None or text.split == split)
        and (tiny is None or text.tiny is tiny)
    )


@cache
def _all_sentences() -> tuple[Sentence, ...]:
    return tuple(
        Sentence(
            id=row["id"],
            text=row["text"],
            language=row["language"],
            split=Split(row["split"]),
            tiny=row["tiny"],
        )
        for row in _rows("sentences.jsonl")
    )


@cache
def _all_paragraphs() -> tuple[Paragraph, ...]:
    return tuple(
        Paragraph(
            id=row["id"],
            text=row["text"],
            language=row["language"],
            split=Split(row["split"]),
            tiny=row["tiny"],
            length=Length(row["length"]),
        )
        for row in _rows("paragraphs.jsonl")
    )


def _rows(name: str) -> list[dict[str, Any]]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
