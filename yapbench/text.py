"""Text before it is compared: Whisper's normalisation by language, and single words folded for alignment.

Knows languages and words; knows no error rate. What was applied has a name (`norm_version`) that stands beside every
number made from it.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.resources
import unicodedata
from collections.abc import Callable
from typing import Final

NORM_VERSION: Final = 1
"""Rises when the rules of this file change; `norm_version` adds the package's own version."""

PACKAGE: Final = "whisper_normalizer"
_RULES: Final = ("basic.py", "english.py", "normalizers/english.json")

_ENGLISH: Final = frozenset({"en", "eng", "english"})
_UNSPACED: Final = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km"})
"""Written without spaces between words: every letter counts as a word, as in Whisper's own evaluation."""


@functools.lru_cache(maxsize=8192)  # every level and repeat meets the same references
def normalize(text: str | None, language: str | None) -> str:
    """`text` as it takes part in WER: single spaces, none at the ends. Empty for None.

    English has rules of its own (numbers, contractions, spellings, fillers); every other language, an unknown one
    (None) too, has its letters lowered and its symbols taken out.
    """
    if not text:
        return ""
    try:
        normal = _normalizer(rules(language))(text)
    except (AssertionError, ValueError):  # the English rules give up on a number of thousands of digits
        normal = _normalizer("basic")(text)
    return " ".join(normal.split())


def words(text: str | None, language: str | None) -> tuple[str, ...]:
    """The words of `normalize`."""
    return tuple(normalize(text, language).split())


def plain_words(text: str | None) -> tuple[str, ...]:
    """The words as they are shown, cut at white space; none for None."""
    return tuple((text or "").split())


def fold_word(word: str) -> str:
    """One word without case and punctuation, so that it keeps its place; empty where nothing is left."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", word).casefold() if letter.isalnum())


def rules(language: str | None) -> str:
    """Which rules a language gets: "english", "basic", or "letters" where words are not spaced."""
    code = (language or "").strip().lower().replace("_", "-").split("-")[0]
    if code in _ENGLISH:
        return "english"
    return "letters" if code in _UNSPACED else "basic"


def norm_version(language: str | None) -> str:
    """The name of what `normalize` does to this language: our version, the package's, a hash of its rules."""
    return f"{NORM_VERSION}/{_package()}/{rules(language)}"


@functools.cache
def _package() -> str:
    digest = hashlib.sha256()
    folder = importlib.resources.files(PACKAGE)
    for name in _RULES:
        digest.update(folder.joinpath(name).read_bytes())
    return f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}-{digest.hexdigest()[:8]}"


@functools.cache
def _normalizer(name: str) -> Callable[[str], str]:
    # Imported and built on first use: the English one reads its spelling list, which a plain `yapbench` never needs.
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    if name != "english":
        basic: Callable[[str], str] = BasicTextNormalizer(split_letters=name == "letters")
        return basic
    english: Callable[[str], str] = EnglishTextNormalizer()
    return english
