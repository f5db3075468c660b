"""Normalisation by language, its name, and words folded one by one."""

from __future__ import annotations

import importlib.metadata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapbench import text


@pytest.mark.parametrize(
    ("said", "language", "normal"),
    [
        ("Hello,   World!", "en", "hello world"),
        ("I can't pay twenty-one dollars", "en-US", "i can not pay $21"),
        ("Um, the colour is [noise] grey", "en", "the color is gray"),
        ("C'est l'été, vingt!", "fr", "c est l été vingt"),
        ("I can't", None, "i can t"),
        ("你好。", "zh", "你 好"),
        ("", "en", ""),
        (None, "en", ""),
        ("?!", "fr", ""),
    ],
)
def test_a_text_is_normalised_by_its_language(said: str | None, language: str | None, normal: str) -> None:
    assert text.normalize(said, language) == normal
    assert text.words(said, language) == tuple(normal.split())


@pytest.mark.parametrize(
    ("language", "rules"),
    [
        ("en", "english"),
        ("EN_gb", "english"),
        ("English", "english"),
        ("fr", "basic"),
        (None, "basic"),
        ("ja", "letters"),
    ],
)
def test_a_language_has_one_set_of_rules(language: str | None, rules: str) -> None:
    assert text.rules(language) == rules


def test_the_normaliser_is_named_with_its_package_and_a_hash_of_its_rules() -> None:
    version = importlib.metadata.version("whisper-normalizer")
    ours, package, rules = text.norm_version("en").split("/")
    assert (ours, rules) == (str(text.NORM_VERSION), "english")
    assert package.startswith(f"whisper_normalizer-{version}-") and len(package.split("-")[-1]) == 8
    assert text.norm_version("fr") != text.norm_version("en")


@pytest.mark.parametrize(
    ("word", "folded"),
    [("Don't,", "dont"), ("—", ""), ("ÉTÉ", "été"), ("e\u0301te\u0301", "été"), ("Straße", "strasse")],
)
def test_a_word_is_folded_in_its_place(word: str, folded: str) -> None:
    assert text.fold_word(word) == folded


@given(st.text(max_size=60), st.sampled_from(["en", "fr", "zh", None]))
@settings(max_examples=200, deadline=None)
def test_whatever_a_server_says_can_be_normalised(said: str, language: str | None) -> None:
    normal = text.normalize(said, language)
    assert normal == " ".join(normal.split())


def test_numbers_too_long_to_be_read_are_still_text() -> None:
    assert text.normalize("9" * 5000, "en") == "9" * 5000
