"""What was taken back: UPWR, UPSR and NE of scripted screens, and what holds for any."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapbench.streams.flicker import Flicker, flicker

screens = st.lists(st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (["", "hello", "hello brain", "hello brave word", "hello brave world"], Flicker(3, 2, 2, 2)),
        (["a b c", "a b c"], Flicker(3, 0, 0, 0)),
        (["a b c", "a x c"], Flicker(3, 1, 1, 2)),  # b is lost; b and c are written again
        (["a b", "x a b"], Flicker(3, 0, 0, 2)),  # nothing is lost, everything is written again
        (["a b c d e", "a x c y z"], Flicker(5, 3, 2, 4)),  # b; d and e together
        (["a b", ""], Flicker(0, 2, 1, 2)),
        (["a b", None, "a b c"], Flicker(3, 0, 0, 0)),
        (["hi", "hey", "hi"], Flicker(1, 2, 2, 2)),  # the first hi was dropped too
        (["Hello", "hello there"], Flicker(2, 1, 1, 1)),  # case is seen
        ([], Flicker()),
    ],
)
def test_words_lost_and_written_again(shown: list[str | None], expected: Flicker) -> None:
    assert flicker(shown) == expected


def test_rates_are_per_word_of_the_final() -> None:
    found = flicker(["a b c d e", "a x c y z"])
    assert (found.upwr, found.normalized_erasure) == (3 / 5, 4 / 5)
    assert (flicker(["a", ""]).upwr, flicker(["a", ""]).normalized_erasure) == (None, None)


def test_words_may_be_folded_before_they_are_compared() -> None:
    assert flicker(["Hello", "hello there"], words=lambda text: text.lower().split()).unstable_words == 0


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.integers(0, 12), max_size=6))
@settings(max_examples=100, deadline=None)
def test_text_that_only_grows_never_flickers(final: list[str], cuts: list[int]) -> None:
    shown = [" ".join(final[:cut]) for cut in sorted(cuts)] + [" ".join(final)]
    assert flicker(shown) == Flicker(final_words=len(final))


@given(screens)
@settings(max_examples=150, deadline=None)
def test_what_is_lost_is_written_again_and_comes_in_runs(shown: list[str | None]) -> None:
    found = flicker(shown)
    assert found.revisions <= found.unstable_words <= found.erased_words
    assert (found.revisions == 0) == (found.unstable_words == 0)


@given(screens)
@settings(max_examples=100, deadline=None)
def test_a_single_partial_no_longer_than_the_final_loses_at_most_all_of_it(shown: list[str]) -> None:
    partial, final = sorted((shown[0], shown[-1]), key=len)
    found = flicker([partial, final])
    assert found.final_words == 0 or 0 <= (found.upwr or 0) <= (found.normalized_erasure or 0) <= 1


@given(screens)
@settings(max_examples=60, deadline=None)
def test_showing_the_same_again_changes_nothing(shown: list[str]) -> None:
    assert flicker([text for text in shown for _ in range(2)]) == flicker(shown)
