"""Words out of pieces, and the text again out of words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.voxtral.speech.words import Words, folded, space_between

TEXT = st.text(alphabet="aB 1.,-'é你ね\n", max_size=40)


def words_of(text: str, cuts: list[int]) -> Words:
    """The text in pieces, one a step."""
    words, ends = Words(), sorted({*(cut % (len(text) + 1) for cut in cuts), len(text)})
    for step, (start, end) in enumerate(zip([0, *ends], ends, strict=False), 1):
        words.add(text[start:end], step)
    return words


@given(text=TEXT, cuts=st.lists(st.integers(0, 40), max_size=10))
@settings(deadline=None)
def test_words_put_together_are_the_text(text: str, cuts: list[int]) -> None:
    words = words_of(text, cuts)
    assert "".join(word.text for word in words.since(0)) + words.space == text


@given(text=TEXT, cuts=st.lists(st.integers(0, 40), max_size=10))
@settings(deadline=None)
def test_how_a_text_is_cut_into_pieces_changes_no_word(text: str, cuts: list[int]) -> None:
    assert [w.text for w in words_of(text, cuts).since(0)] == [w.text for w in words_of(text, []).since(0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" The quick, brown", [" The", " quick,", " brown"]),
        ("It's 3.5 - no!", ["It's", " 3.5 -", " no!"]),
        ("你好。ねこ cat", ["你", "好。", "ね", "こ", " cat"]),
        ("好cat", ["好", "cat"]),
        ("... and", ["...", " and"]),
        ("  \n", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word.text for word in words_of(text, []).since(0)] == words


def test_a_word_has_the_steps_of_its_first_and_last_piece() -> None:
    words = Words()
    for step, text in enumerate([" tran", "", "scri", "be", "", " it"], 1):
        words.add(text, step)
    assert [(w.key, w.step, w.last_step) for w in words.since(0)] == [("transcribe", 1, 4), ("it", 6, 6)]
    assert [w.key for w in words.since(2)] == ["it"]


def test_only_the_last_ones_are_kept() -> None:
    words = Words(keep=10)
    for step in range(1000):
        words.add(f" w{step}", step)
        assert len(words) <= 20
    assert [w.key for w in words.since(990)] == [f"w{step}" for step in range(990, 1000)]


def test_a_text_without_spaces_does_not_become_one_endless_word() -> None:
    words = Words(keep=10)
    for step in range(10_000):
        words.add("ica", step)
    found = words.since(0)
    assert len(found) <= 20 and max(len(word.text) for word in found) < 110


def test_folded() -> None:
    assert folded(" “Straße,” ") == folded("STRASSE.") == "strasse"


@pytest.mark.parametrize(
    ("before", "after", "space"),
    [
        ("one", "two", " "),
        ("one.", "Two", " "),
        ("one", " two", ""),
        ("one ", "two", ""),
        ("", "two", ""),
        ("one", "", ""),
        ("one", ", two", ""),
        ("你好", "世界", ""),
        ("one.", "¿dos", " "),
    ],
)
def test_a_space_is_set_where_neither_text_brought_one(before: str, after: str, space: str) -> None:
    assert space_between(before, after) == space
