"""When a word is first seen and seen for good: scripted screens, an oracle of known delay, any screens at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapbench.corpus import Word
from yapbench.streams.emission import Emission, emissions, lag_slope_ms_per_s

MS = 1_000_000
vocabulary = st.sampled_from(["red", "green", "blue", "gold"])
spoken = st.lists(vocabulary, min_size=1, max_size=10)


def timed(words: list[str]) -> list[Word]:
    """One word every 0.3 s, the first ending at 0.3 s."""
    return [Word(word, 0.3 * k, 0.3 * (k + 1)) for k, word in enumerate(words)]


def seen(words: str, *shown: tuple[int, str], **options: Any) -> list[tuple[float | None, float | None]]:
    found = emissions(
        timed(words.split()), [(ms * MS, text) for ms, text in shown], **{"start_ns": 0, "pace": 1.0} | options
    )
    return [(e.first_ms and round(e.first_ms, 6), e.stable_ms and round(e.stable_ms, 6)) for e in found]


def test_a_word_counts_from_its_end_to_the_first_text_that_holds_it() -> None:
    assert seen("the fox", (400, "the"), (900, "the fox")) == [(100, 100), (300, 300)]


def test_a_word_seen_before_its_end_keeps_its_negative_latency() -> None:
    assert seen("the fox", (200, "the"), (550, "The fox.")) == [(-100, -100), (-50, -50)]


def test_a_word_that_flickers_is_stable_from_when_it_stays() -> None:
    assert seen("the fox", (400, "the"), (500, "thy"), (700, "the fox"), (800, "the fox")) == [(100, 400), (100, 100)]


def test_a_word_that_the_last_text_lacks_is_never_stable_and_one_never_shown_has_neither() -> None:
    assert seen("the fox", (400, "the"), (900, "thy")) == [(100, None), (None, None)]


def test_a_repeated_word_is_taken_for_the_one_that_was_said() -> None:
    found = seen("the fox the dog", (350, "the"), (650, "the fox"), (950, "the fox the"), (1250, "the fox the dog"))
    assert found == [(50, 50)] * 4


def test_words_that_were_missed_or_made_up_shift_nobody_else() -> None:
    found = seen("a big red fox", (1300, "well a red fox"))
    assert found == [(1000, 1000), (None, None), (400, 400), (100, 100)]


def test_a_missed_word_does_not_hide_the_next_one() -> None:
    assert seen("a big fox", (1000, "a fox")) == [(700, 700), (None, None), (100, 100)]


def test_a_faster_pace_brings_each_words_end_forward() -> None:
    assert seen("the fox", (130, "the fox"), pace=10.0) == [(100, 100), (70, 70)]


def test_a_word_without_letters_is_left_out() -> None:
    assert emissions([Word("—", 0, 1), Word("Yes!", 1, 2)], [(2050 * MS, "yes")], start_ns=0, pace=1) == (
        Emission("Yes!", 2, 50, 50),
    )


@given(spoken, st.integers(-250, 2000))
@settings(max_examples=80, deadline=None)
def test_an_oracle_that_shows_each_word_so_long_after_its_end_has_that_latency(words: list[str], delay_ms: int) -> None:
    shown = [(round(300 * (k + 1) + delay_ms) * MS, " ".join(words[: k + 1])) for k in range(len(words))]
    found = emissions(timed(words), shown, start_ns=0, pace=1.0)
    assert [e.first_ms for e in found] == pytest.approx([delay_ms] * len(words), abs=1e-6)
    assert [e.stable_ms for e in found] == pytest.approx([delay_ms] * len(words), abs=1e-6)


@given(spoken, st.lists(spoken, max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_word_is_never_stable_before_it_is_seen(words: list[str], screens: list[list[str]]) -> None:
    shown = [(100 * k * MS, " ".join(screen)) for k, screen in enumerate(screens)]
    for found in emissions(timed(words), shown, start_ns=0, pace=1.0):
        assert found.stable_ms is None or (found.first_ms is not None and found.first_ms <= found.stable_ms)


@given(spoken, st.lists(spoken, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_was_shown_before_does_not_change_what_the_last_text_holds(
    words: list[str], screens: list[list[str]]
) -> None:
    shown = [(100 * k * MS, " ".join(screen)) for k, screen in enumerate(screens)]
    told, alone = (emissions(timed(words), texts, start_ns=0, pace=1.0) for texts in (shown, shown[-1:]))
    assert [e.stable_ms is None for e in told] == [e.stable_ms is None for e in alone]


@given(st.floats(-50, 50), st.floats(-1e3, 1e3), st.lists(st.floats(0, 60), min_size=3, unique=True))
@settings(max_examples=60, deadline=None)
def test_the_slope_of_a_line_is_its_slope(slope: float, start: float, at_s: list[float]) -> None:
    if np.ptp(at_s) < 1e-3:
        return
    assert lag_slope_ms_per_s(at_s, [start + slope * x for x in at_s]) == pytest.approx(slope, abs=1e-4)


def test_two_words_or_one_instant_have_no_slope() -> None:
    assert lag_slope_ms_per_s([1, 2], [5, 6]) is None
    assert lag_slope_ms_per_s([1, 1, 1], [5, 6, 7]) is None
