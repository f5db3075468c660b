"""Two hearings of one piece of audio joined: exactly where they agree, within said bounds where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.voxtral.interfaces import Done, Request
from servers.voxtral.speech.joint import Seam
from servers.voxtral.speech.segment import Kind, Segment
from servers.voxtral.speech.telling import Telling
from servers.voxtral.speech.words import Words
from tests.servers.voxtral.speech_fakes import Notes

pytestmark = pytest.mark.slow

Said = list[tuple[int, str]]
"""(step, word), in order."""
OVERLAP_STEPS = 30
FROM = 100
"""Where the second hearing begins."""
CUT = FROM + OVERLAP_STEPS
"""What the first one said up to here has been told."""
VERY = st.sampled_from(["very", "very", "very", "no", "1"])


@st.composite
def speech(draw: st.DrawFn, words: st.SearchStrategy[str] | None = None, least_gap: int = 1) -> Said:
    """Words from before the overlap to behind it."""
    steps, at = [], FROM - 40
    while (at := at + draw(st.integers(least_gap, 9))) < CUT + 60:
        steps.append(at)
    return [(step, draw(words) if words is not None else f"w{number}") for number, step in enumerate(steps)]


def joined(first: Said, second: Said, *, torn: bool = False, piece_chars: int = 0, end: int = CUT + 100) -> list[str]:
    """What is told: all of `first`, then what the seam lets through of `second`, one step after the other."""
    told = Words()
    for step, word in first:
        told.add(f" {word}", step)
    text = "".join(f" {word}" for _, word in first)
    seam: Seam | None = Seam(told, heard_from=FROM, torn=torn)
    rest = ""
    for step in range(FROM + 1, end):
        rest += "".join(f" {word}" for at, word in second if at == step)
        said, rest = (rest[:piece_chars], rest[piece_chars:]) if piece_chars else (rest, "")
        if seam is None:
            text += said
        elif (found := seam.add(step, said)) is not None:
            text, seam = text + "".join(piece for piece, _ in found), None
    if seam is not None:
        text += "".join(piece for piece, _ in seam.settle())
    return text.split()


def parts(said: Said, *, from_step: int = FROM + 1, cut: int = CUT) -> tuple[Said, Said]:
    """The two hearings of an exact recogniser."""
    return [s for s in said if s[0] <= cut], [s for s in said if s[0] >= from_step]


def words_of(said: Said) -> list[str]:
    return [word for _, word in said]


@given(said=speech(VERY), cut=st.integers(FROM, CUT + 20))
@settings(deadline=None, max_examples=400)
def test_exact_hearings_are_joined_exactly_whatever_the_words_are(said: Said, cut: int) -> None:
    first, second = parts(said, cut=cut)
    assert joined(first, second) == words_of(said)


@given(said=speech(VERY, least_gap=3), cut=st.integers(FROM, CUT + 20), piece=st.integers(2, 4))
@settings(deadline=None)
def test_so_are_those_whose_words_come_in_pieces(said: Said, cut: int, piece: int) -> None:
    first, second = parts(said, cut=cut)
    assert joined(first, second, piece_chars=piece) == words_of(said)


@given(said=speech(VERY), lost=st.integers(0, 6), cut=st.integers(FROM + 8, CUT))
@settings(deadline=None)
def test_what_the_second_does_not_hear_at_its_beginning_has_been_told(said: Said, lost: int, cut: int) -> None:
    first, second = parts(said, from_step=FROM + 1 + lost, cut=cut)
    assert joined(first, second) == words_of(said)


@given(said=speech(least_gap=2), garbled=st.integers(0, 6))
@settings(deadline=None)
def test_what_the_second_mishears_at_its_beginning_is_not_told(said: Said, garbled: int) -> None:
    first, second = parts(said)
    second = [(step, "hm" if step <= FROM + garbled else word) for step, word in second]
    assert joined(first, second) == words_of(said)


@given(said=speech(least_gap=5), shift=st.lists(st.integers(-2, 2), min_size=80, max_size=80))
@settings(deadline=None, max_examples=200)
def test_hearings_that_differ_in_time_are_joined_by_their_words(said: Said, shift: list[int]) -> None:
    first, second = parts(said)
    second = sorted((step + move, word) for (step, word), move in zip(second, shift, strict=False))
    # A word that has been told to be new, and comes earlier this time, is new all the same.
    assert joined(first, second) == words_of(said)


@given(said=speech(least_gap=3), wrong=st.integers(0, 12))
@settings(deadline=None)
def test_one_word_misheard_within_the_overlap_costs_nothing_but_itself(said: Said, wrong: int) -> None:
    first, second = parts(said)
    second = [(step, "hm" if number == wrong else word) for number, (step, word) in enumerate(second)]
    found, meant = joined(first, second), words_of(said)
    assert len(found) == len(meant)
    assert [a for a, b in zip(found, meant, strict=True) if a != b] in ([], ["hm"])


@given(said=speech(), gap=st.integers(1, 30))
@settings(deadline=None)
def test_nothing_told_in_the_overlap_means_that_all_is_new(said: Said, gap: int) -> None:
    second = [s for s in said if s[0] > FROM + gap]
    assert joined([], second) == words_of(second)
    assert joined([(FROM - 30, "before")], second) == ["before", *words_of(second)]


def test_a_word_said_again_behind_a_pause_is_new() -> None:
    assert joined([(FROM - 4, "no")], [(FROM + 8, "no"), (FROM + 20, "really")]) == ["no", "no", "really"]


def told_by(first: Sequence[tuple[int, str]], second: Sequence[tuple[int, str]], *, torn: bool = False) -> str:
    """As above, with texts as an engine spaces them."""
    notes = Notes()
    telling = Telling(notes)
    for said, segment in ((first, one_of(0)), (second, one_of(FROM, "truncation" if torn else "length"))):
        telling.begin(segment)
        for step in range(segment.first_step + 1, CUT + 40):
            segment.answered_steps += 1
            telling.hear(segment, "".join(text for at, text in said if at == step))
        telling.end(Done(""))
    assert telling.result().text == "".join(notes.deltas)
    return telling.result().text


def one_of(first_step: int, after: Kind | None = None) -> Segment:
    """A request that nobody asks."""
    return Segment(cast(Request, None), first_step=first_step, delay_steps=5, after=after)


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ([(120, " the"), (125, " fox")], [(120, "The"), (125, " Fox,"), (140, " ran")], " the fox, ran"),
        ([(120, " the"), (125, " fox.")], [(120, "The"), (125, " Fox,"), (140, " ran")], " the fox. ran"),
        ([(90, " end.")], [(115, "Next"), (130, " one")], " end. Next one"),
        ([(90, "好")], [(115, "你")], "好你"),
        ([(120, "你"), (122, "好")], [(120, "你"), (122, "好"), (124, "吗")], "你好吗"),
    ],
)
def test_case_marks_and_spaces_at_the_seam(first: Said, second: Said, text: str) -> None:
    assert told_by(first, second) == text


def test_a_word_that_was_cut_off_is_completed() -> None:
    first, second = [(110, " we"), (125, " trans")], [(110, "We"), (125, " transcribe"), (135, " it")]
    assert told_by(first, second, torn=True) == " we transcribe it"


def test_half_a_word_at_the_beginning_of_the_second_hearing_is_not_told() -> None:
    first, second = [(FROM - 8, "a"), (FROM + 3, "fox")], [(FROM + 1, "um"), (FROM + 3, "fox"), (FROM + 20, "ran")]
    assert joined(first, second) == ["a", "fox", "ran"]


def test_silence_settles_the_seam_soon() -> None:
    told = Words()
    told.add(" word", CUT)
    seam = Seam(told, heard_from=FROM)
    settled = next(step for step in range(FROM + 1, CUT + 100) if seam.add(step, "") is not None)
    assert settled <= CUT + 8
