"""Whatever was said and wherever it was cut, the joined words are the words that were said, each once."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.parakeet.files.stitching import Overlap, concatenate, seam
from servers.parakeet.transcript import Span, Transcript, Word

OVERLAP_S = 1.5


def word(text: str, start_s: float, length_s: float = 0.2) -> Word:
    return Word(text, start_s, start_s + length_s, 0.9)


def transcript(*words: Word) -> Transcript:
    """As a model gives it: one segment, and each half of a word a piece."""
    text = " ".join(each.text for each in words)
    chars = []
    for each in words:
        half_s = (each.start_s + each.end_s) / 2
        cut = len(each.text) // 2
        chars += [Span(each.text[:cut], each.start_s, half_s), Span(each.text[cut:], half_s, each.end_s)]
    segments = (Span(text, words[0].start_s, words[-1].end_s),) if words else ()
    return Transcript(text, words, segments, tuple(chars))


def hear(said: list[Word], start_s: float, end_s: float, jitter_s: list[float]) -> Transcript:
    """What a model makes of a piece: words at its edges are halves, times are off by a little."""
    heard = []
    for each, off_s in zip(said, jitter_s, strict=True):
        begin, end = max(each.start_s, start_s), min(each.end_s, end_s)
        if end - begin < 0.03:
            continue
        whole = end - begin >= 0.85 * (each.end_s - each.start_s)
        begin, end = max(begin + off_s, start_s), min(end + off_s, end_s)
        if end > begin:
            heard.append(Word(each.text if whole else f"{each.text}-", begin, end, each.confidence))
    return transcript(*heard)


@st.composite
def speech(draw: st.DrawFn) -> list[Word]:
    """Words of 0.1 to 0.6 s, now and then the same again, with gaps of up to a second."""
    at_s, said = 0.0, []
    for _ in range(draw(st.integers(1, 16))):
        at_s += draw(st.sampled_from([0.0, 0.02, 0.1, 0.3, 1.0]))
        length_s = draw(st.floats(0.1, 0.6))
        said.append(word(draw(st.sampled_from(["no", "yes", "one", "two", "the", "parakeet"])), at_s, length_s))
        at_s += length_s
    return said


@given(said=speech(), where=st.floats(0, 1), data=st.data())
def test_no_word_is_lost_or_doubled(said: list[Word], where: float, data: st.DataObject) -> None:
    cut_s = where * (said[-1].end_s + 1.0)
    off_s = st.lists(st.floats(-0.02, 0.02), min_size=len(said), max_size=len(said))
    left = hear(said, 0.0, cut_s + OVERLAP_S, data.draw(off_s))
    right = hear(said, cut_s, said[-1].end_s + 9, data.draw(off_s))
    joined = concatenate(seam(left, right, Overlap(cut_s, cut_s + OVERLAP_S)))
    assert [each.text for each in joined.words] == [each.text for each in said]
    assert all(abs(got.start_s - true.start_s) <= 0.021 for got, true in zip(joined.words, said, strict=True))
    assert joined.text == " ".join(each.text for each in said)
    assert "".join(char.text for char in joined.chars) == "".join(each.text for each in said)


@given(said=speech(), where=st.floats(0, 1))
def test_segments_hold_the_words_that_are_left(said: list[Word], where: float) -> None:
    cut_s, still = where * said[-1].end_s, [0.0] * len(said)
    left, right = hear(said, 0.0, cut_s + OVERLAP_S, still), hear(said, cut_s, said[-1].end_s, still)
    joined = concatenate(seam(left, right, Overlap(cut_s, cut_s + OVERLAP_S)))
    assert " ".join(segment.text for segment in joined.segments) == joined.text
    assert all(before.end_s <= after.start_s for before, after in pairwise(joined.segments))


def test_the_seam_is_where_both_have_heard_most() -> None:
    """What the left piece mistakes near its end is taken from the right one, and the other way round."""
    left = transcript(word("a", 8.6), word("b", 9.0), word("c", 9.4), word("dee", 9.7))
    right = transcript(word("eh", 8.6), word("b", 9.0), word("c", 9.4), word("d", 9.7), word("e", 10.2))
    joined = concatenate(seam(left, right, Overlap(8.5, 10.0)))
    assert joined.text == "a b c d e"


def test_punctuation_and_case_do_not_hide_a_word() -> None:
    left = transcript(word("so", 8.8), word("it", 9.1), word("is.", 9.4))
    right = transcript(word("So", 8.8), word("it", 9.1), word("is", 9.4), word("said", 10.1))
    assert concatenate(seam(left, right, Overlap(8.5, 10.0))).text == "so it is said"


def test_a_word_that_one_piece_did_not_hear_stays() -> None:
    """At the very end of the left piece; the right one has nothing there."""
    left, right = transcript(word("end", 9.75)), transcript(word("next", 11.0))
    assert concatenate(seam(left, right, Overlap(8.5, 10.0))).text == "end next"


def test_one_sound_with_two_spellings_comes_once() -> None:
    left, right = transcript(word("cheque", 9.0, 0.4)), transcript(word("check", 9.02, 0.4))
    assert concatenate(seam(left, right, Overlap(8.5, 10.0))).text == "cheque"


@pytest.mark.parametrize("silent", ["left", "right", "both"])
def test_silence_joins_with_anything(silent: str) -> None:
    said = transcript(word("a", 9.0), word("b", 9.4))
    left = Transcript() if silent != "right" else said
    right = Transcript() if silent != "left" else said
    assert concatenate(seam(left, right, Overlap(8.5, 10.0))).text == ("" if silent == "both" else "a b")


def test_words_without_length_are_words() -> None:
    """A frame of 80 ms may hold a whole short word: its end is its start."""
    said = [word(text, at_s, 0.0) for text, at_s in (("a", 8.8), ("b", 9.2), ("c", 9.96))]
    left, right = transcript(*said), transcript(*said, word("d", 10.4))
    assert concatenate(seam(left, right, Overlap(8.5, 10.0))).text == "a b c d"


def test_pieces_cut_at_a_pause_are_put_one_behind_the_other() -> None:
    parts = [transcript(word("a", 0.0)), Transcript(), transcript(word("b", 0.1)).shifted(30.0)]
    joined = concatenate(parts)
    assert (joined.text, [each.start_s for each in joined.words]) == ("a b", [0.0, 30.1])
    assert joined.segments == (Span("a", 0.0, 0.2), replace(joined.segments[1], text="b"))
