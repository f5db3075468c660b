"""Pieces become words and sentences with times: what a word takes in, where it ends, how sure it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.parakeet.model_words import Speller, Token
from servers.parakeet.transcript import Transcript

PIECES = ["<unk>", "\u2581the", "\u2581", "c", "at", ".", ",", "\u2581No", "?"]
NUMBERS = {piece: number for number, piece in enumerate(PIECES)}


def join(pieces: list[str]) -> str:
    """As SentencePiece joins them."""
    joined = "".join(" \u2047 " if piece == "<unk>" else piece for piece in pieces).replace("\u2581", " ")
    return joined[1:] if pieces and pieces[0].startswith("\u2581") else joined


def speller(**options: object) -> Speller:
    given = {"join": join, "punctuation": {".", ",", "?"}, "frame_s": lambda frame: frame * 0.08, **options}
    return Speller(PIECES, **given)  # type: ignore[arg-type]


def said(*pieces: str, **options: object) -> Transcript:
    """Each piece begins two frames after the one before it, lasts one, and is a tenth less sure."""
    tokens = [Token(NUMBERS[piece], 2 * at, 1, 0.9 - at / 10) for at, piece in enumerate(pieces)]
    return speller(**options).transcript(tokens)


def words(found: Transcript) -> list[tuple[str, float, float, float]]:
    return [
        (word.text, round(word.start_s, 3), round(word.end_s, 3), round(word.confidence, 3)) for word in found.words
    ]


def test_pieces_without_a_mark_go_on_with_their_word() -> None:
    found = said("\u2581the", "\u2581", "c", "at")
    assert found.text == "the cat"
    assert words(found) == [("the", 0.0, 0.08, 0.9), ("cat", 0.16, 0.56, 0.7)]
    assert [char.text for char in found.chars] == ["the", "", "c", "at"]


def test_a_mark_belongs_to_the_word_before_it_and_takes_no_time() -> None:
    found = said("\u2581the", ",", "\u2581No")
    assert words(found) == [("the,", 0.0, 0.08, 0.85), ("No", 0.32, 0.4, 0.7)]
    assert (found.chars[1].start_s, found.chars[1].end_s) == (0.08, 0.08)


def test_a_model_without_durations_keeps_a_marks_own_time() -> None:
    assert words(said("\u2581the", ",", mends_punctuation=False)) == [("the,", 0.0, 0.24, 0.85)]


def test_marks_end_sentences() -> None:
    found = said("\u2581No", ".", "\u2581the", "c", "at", "?", "\u2581the")
    assert [one.text for one in found.segments] == ["No.", "thecat?", "the"]
    assert [round(one.start_s, 2) for one in found.segments] == [0.0, 0.32, 0.96]


def test_a_pause_ends_a_sentence_where_the_model_says_so() -> None:
    assert [one.text for one in said("\u2581No", "\u2581the", gap_frames=1).segments] == ["No", "the"]
    assert [one.text for one in said("\u2581No", "\u2581the", gap_frames=2).segments] == ["No the"]


def test_a_blank_before_a_mark_is_taken_out_of_the_text() -> None:
    assert said("\u2581the", "\u2581", ".").text == "the."


def test_a_word_mark_alone_is_no_word() -> None:
    assert [word.text for word in said("\u2581the", "\u2581", "\u2581No").words] == ["the", "No"]


def test_times_are_those_of_a_chunk_that_was_padded() -> None:
    tokens = [Token(NUMBERS["\u2581the"], 0, 1, 0.5), Token(NUMBERS["\u2581No"], 3, 4, 0.5)]
    found = speller().transcript(tokens, before_s=0.1, length_s=0.3)
    assert [pytest.approx((word.start_s, word.end_s)) for word in found.words] == [(0.0, 0.0), (0.14, 0.3)]


def test_nothing_said() -> None:
    assert said() == Transcript()


@given(st.lists(st.sampled_from(PIECES[1:]), max_size=30))
def test_words_are_those_of_the_text_and_of_the_sentences(pieces: list[str]) -> None:
    found = said(*pieces)
    letters = "".join(word.text for word in found.words).replace(" ", "")
    assert letters == found.text.replace(" ", "")
    assert " ".join(one.text for one in found.segments) == " ".join(word.text for word in found.words)
    assert len(found.chars) == len(pieces)
    assert all(word.start_s <= word.end_s for word in found.words)
