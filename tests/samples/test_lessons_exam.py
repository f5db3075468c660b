"""The exam: clips that say what their labels say they do, and marks that count every word."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples.lessons import exam, texts
from samples.lessons.data import KEPT_RATES, VOICES
from samples.lessons.exam import Said
from samples.pool import Split
from samples.voices import Voice

RATE_HZ = 16_000
WORDS = st.lists(st.sampled_from("abcd"), max_size=8)


@pytest.mark.parametrize(
    ("reference", "heard", "expected"),
    [("a b c", "a b c", 0), ("a b c", "", 3), ("", "a", 1), ("a b c", "a x c d", 2), ("a b", "b a", 2)],
)
def test_word_errors_are_counted(reference: str, heard: str, expected: int) -> None:
    assert exam.distance(reference.split(), heard.split()) == expected


@given(WORDS, WORDS)
def test_errors_are_between_none_and_all(one: list[str], other: list[str]) -> None:
    found = exam.distance(one, other)

    assert found == exam.distance(other, one)
    assert abs(len(one) - len(other)) <= found <= max(len(one), len(other))
    assert (found == 0) == (one == other)


@given(WORDS, WORDS)
def test_matched_words_are_equal_and_in_order(reference: list[str], heard: list[str]) -> None:
    found = exam.matched(reference, heard)

    assert all(reference[at] == heard[to] for at, to in found)
    assert all(at < after and to < then for (at, to), (after, then) in pairwise(found))
    kept = max(len(reference), len(heard)) - exam.distance(reference, heard)
    assert kept <= len(found) <= min(len(reference), len(heard))


def test_a_word_that_comes_twice_is_matched_where_it_was_said() -> None:
    said, heard = ["the", "cat", "saw", "the", "dog"], ["a", "cat", "saw", "the", "dog"]

    assert exam.matched(said, heard) == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_a_split_is_marked_as_a_whole() -> None:
    said = [Said(np.zeros(1, np.float32), tuple(text.split()), ()) for text in ("a b", "c d e", "f")]

    marks = exam.marked(said, ["a b", "c x", ""])

    assert (marks.errors, marks.words, marks.rate) == (3, 6, 0.5)


def test_test_clips_take_every_voice_at_every_kept_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Voice] = []
    monkeypatch.setattr(exam, "say", lambda _, voice: asked.append(voice))

    exam.spoken(texts.known(Split.HELD_OUT)[:1], VOICES, turns=6)

    assert {(voice.speaker, voice.rate) for voice in asked} == {(name, rate) for name in VOICES for rate in KEPT_RATES}


def test_joining_moves_the_words_behind_what_came_before() -> None:
    one = Said(np.zeros(RATE_HZ, np.float32), ("a",), ((0.25, 0.5),))
    other = Said(np.ones(2 * RATE_HZ, np.float32), ("b", "c"), ((0.0, 0.5), (1.0, 1.5)))

    (both,) = exam.joined([one, other, one], parts=2)

    assert both.words == ("a", "b", "c")
    assert both.spans_s == ((0.25, 0.5), (1.0, 1.5), (2.0, 2.5))
    assert both.audio.shape == (3 * RATE_HZ,) and both.audio[RATE_HZ] == 1


@pytest.mark.parametrize(("split", "turns", "paragraphs"), [(Split.TRAIN, 18, 5), (Split.HELD_OUT, 14, 2)])
def test_committed_clips_hold_their_words(split: Split, turns: int, paragraphs: int) -> None:
    found = exam.committed(split)

    assert {name: len(said) for name, said in found.items()} == {
        f"{split} turns": turns,
        f"{split} paragraphs": paragraphs,
    }
    for said in (one for split_of in found.values() for one in split_of):
        assert len(said.spans_s) == len(said.words)
        times = [time_s for span in said.spans_s for time_s in span]
        assert times == sorted(times) and times[-1] <= len(said.audio) / RATE_HZ


@pytest.mark.usefixtures("flite")
def test_what_is_said_lies_where_its_words_are() -> None:
    said = exam.say(texts.known(Split.TRAIN)[0], Voice("slt", 1.0, KEPT_RATES[0]))

    begin, end = (round(at_s * RATE_HZ) for at_s in (said.spans_s[0][0], said.spans_s[-1][1]))
    assert len(said.spans_s) == len(said.words)
    assert np.abs(said.audio[begin:end]).max() > 10 * np.abs(said.audio[end + 800 :]).max()
    assert len(said.audio) >= end + exam.TAIL_S * RATE_HZ - 1
