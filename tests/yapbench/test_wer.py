"""Word and character errors: tables done by hand, and what must hold for any two texts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapbench import wer
from yapbench.wer import Edit, Errors

sentences = st.lists(st.sampled_from(["red", "green", "blue", "gold"]), max_size=8)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors"),
    [
        ("a b c d", "a b c d", Errors(4, 0, 0, 0)),
        ("a b c d", "a x c d", Errors(3, 1, 0, 0)),
        ("a b c d", "a c d", Errors(3, 0, 1, 0)),
        ("a b c d", "a b b2 c d", Errors(4, 0, 0, 1)),
        ("a b c d", "", Errors(0, 0, 4, 0)),
        ("", "x y", Errors(0, 0, 0, 2)),
        ("", "", Errors()),
    ],
)
def test_errors_are_counted_by_kind(reference: str, hypothesis: str, errors: Errors) -> None:
    assert wer.align(reference.split(), hypothesis.split()).errors == errors


def test_the_alignment_is_kept_for_showing() -> None:
    found = wer.align(["the", "quick", "brown", "fox", "jumps"], ["the", "quack", "fox", "jumps", "over"])
    assert found.reference[1:3] == ("quick", "brown")
    assert found.edits[0] == Edit("equal", 0, 1, 0, 1)
    assert found.edits[-2:] == (Edit("equal", 3, 5, 2, 4), Edit("insert", 5, 5, 4, 5))
    assert found.errors == Errors(3, 1, 1, 1)


def test_normalised_raw_and_character_errors_of_one_utterance() -> None:
    score = wer.score("It cost twenty pounds.", "it costs £20", language="en")
    assert score.words.errors == Errors(2, 1, 0, 0)  # it, cost/costs, £20
    assert score.raw_words == Errors(0, 3, 1, 0)
    assert score.characters == Errors(11, 0, 0, 1)  # "it cost £20" and an s
    assert score.norm.endswith("/english")


def test_no_transcript_is_all_deletions_and_no_reference_is_no_part_of_wer() -> None:
    nothing = wer.score("two words", None, language="fr")
    made_up = wer.score("", "thank you", language="fr")
    assert (nothing.words.errors, nothing.characters, nothing.is_empty) == (
        Errors(0, 0, 2, 0),
        Errors(0, 0, 9, 0),
        True,
    )
    assert (made_up.has_reference, made_up.words.errors.rate, made_up.words.errors.insertions) == (False, None, 2)


def test_a_reference_of_noise_alone_says_nothing() -> None:
    assert not wer.score("[music] uh", "hello", language="en").has_reference


def test_the_pooled_rate_is_of_the_sums_not_the_mean_of_rates() -> None:
    assert wer.pooled([Errors(9, 1, 0, 0), Errors(0, 1, 0, 1)]).rate == pytest.approx(3 / 11)


def test_order_costs_nothing_in_the_unordered_count() -> None:
    swapped = wer.score("one red fox and one blue dog", "and one blue dog one red fox", language="fr")
    assert swapped.unordered == 0 < swapped.words.errors.total
    assert wer.unordered_errors(["a", "a", "b"], ["a", "c"]) == 2


@given(sentences, sentences)
@settings(max_examples=150, deadline=None)
def test_counts_fit_both_sides_and_are_zero_only_for_equal_texts(said: list[str], heard: list[str]) -> None:
    found = wer.align(said, heard)
    assert (found.errors.reference, found.errors.hypothesis) == (len(said), len(heard))
    assert (found.errors.total == 0) == (said == heard)
    assert wer.unordered_errors(said, heard) <= found.errors.total <= max(len(said), len(heard))
    rebuilt = [
        heard[e.hyp_start : e.hyp_end] == said[e.ref_start : e.ref_end] for e in found.edits if e.kind == "equal"
    ]
    assert all(rebuilt)


@given(sentences.filter(bool), sentences)
@settings(max_examples=60, deadline=None)
def test_case_and_punctuation_are_no_errors(said: list[str], heard: list[str]) -> None:
    shouted = wer.score(" ".join(said), ", ".join(heard).upper() + "!", language="en")
    assert shouted.words.errors == wer.score(" ".join(said), " ".join(heard), language="en").words.errors
    assert (shouted.words.errors.rate == 0) == (said == heard)


@given(sentences.filter(bool), sentences, sentences)
@settings(max_examples=60, deadline=None)
def test_one_word_more_said_and_heard_alike_changes_no_count(
    said: list[str], heard: list[str], tail: list[str]
) -> None:
    before, after = wer.align(said, heard).errors, wer.align(said + tail, heard + tail).errors
    assert after.total <= before.total
