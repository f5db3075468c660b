"""Bar H6: times, emission, flicker and word errors against their definitions, written out a second time and slowly."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.yapbench import made_up_streams as made_up
from yapbench import wer
from yapbench.corpus import Word
from yapbench.streams.emission import emissions
from yapbench.streams.flicker import flicker
from yapbench.streams.measures import measure
from yapbench.streams.times import Stream, eos_ms, times_ms

texts = st.lists(st.sampled_from("abcd"), max_size=7)
spoken = st.lists(st.sampled_from(["one", "two", "three", "four"]), min_size=1, max_size=7)
paces = st.sampled_from([0.5, 1.0, 2.0, 10.0])


def common_length(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence, by its textbook recursion."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def common_beginning(one: list[str], other: list[str]) -> int:
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def distance(one: list[str], other: list[str]) -> int:
    """Levenshtein's, by its textbook recursion."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, above = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@given(st.lists(texts, min_size=1, max_size=6))
@settings(deadline=None)
def test_unstable_and_erased_words_are_those_of_the_papers(shown: list[list[str]]) -> None:
    found = flicker([" ".join(words) for words in shown])
    assert found.unstable_words == sum(len(a) - common_length(a, b) for a, b in pairwise(shown))
    assert found.erased_words == sum(len(a) - common_beginning(a, b) for a, b in pairwise(shown))
    final = len(shown[-1])
    assert found.upwr == (found.unstable_words / final if final else None)
    assert found.normalized_erasure == (found.erased_words / final if final else None)


@given(spoken, texts)
@settings(deadline=None)
def test_word_errors_are_the_edit_distance(said: list[str], heard: list[str]) -> None:
    errors = wer.align(said, heard).errors
    assert errors.total == distance(said, heard)
    assert (errors.reference, errors.hypothesis) == (len(said), len(heard))


@given(st.floats(250, 900), st.floats(0, 800), paces)
def test_first_words_and_the_final_count_from_when_they_were_spoken(
    first_ms: float, later_ms: float, pace: float
) -> None:
    """The first partial with words counts, however many empty ones came before; the audio's clock runs at its pace."""
    script = [(100.0, "partial", ""), (200.0, "partial", "  "), (first_ms, "partial", "hello")]
    final_ms = first_ms + later_ms
    found = times_ms(Stream.of(made_up.row([*script, (final_ms, "final", "hello brave world")], pace=pace)))
    assert found["ttfp"].value == pytest.approx(first_ms - 200 / pace, abs=1e-5)
    assert found["eos"].value == pytest.approx(final_ms - 850 / pace, abs=1e-5)


@given(spoken, st.lists(st.integers(0, 7), min_size=1, max_size=6), paces)
@settings(deadline=None)
def test_words_of_a_growing_text_are_emitted_when_it_reaches_them(
    words: list[str], lengths: list[int], pace: float
) -> None:
    """Texts that are beginnings of what was said: word k is seen with the first of them that is longer than k."""
    said = [Word(word, float(k), k + 0.5) for k, word in enumerate(words)]
    shown = [(10**9 * (n + 1), " ".join(words[:length])) for n, length in enumerate(lengths)]
    for k, found in enumerate(emissions(said, shown, start_ns=0, pace=pace)):
        first = next((n for n, length in enumerate(lengths) if length > k), None)
        since = None
        for n, length in reversed(list(enumerate(lengths))):
            if length <= k:
                break
            since = n
        end_ms = 1e3 * (k + 0.5) / pace
        assert found.first_ms == (None if first is None else pytest.approx(1e3 * (first + 1) - end_ms))
        assert found.stable_ms == (None if since is None else pytest.approx(1e3 * (since + 1) - end_ms))


@given(spoken, texts, st.data())
@settings(deadline=None)
def test_what_a_text_holds_is_the_cheapest_alignment_with_a_beginning(
    words: list[str], noise: list[str], data: st.DataObject
) -> None:
    """No more words are held than a common subsequence has, and as many as the fewest edits leave."""
    heard = data.draw(st.permutations([*words, *noise]))
    shown = [(1, " ".join(heard))]
    held = sum(e.first_ms is not None for e in emissions([Word(w, 0, 0) for w in words], shown, start_ns=0, pace=1))
    costs = [distance(words[:k], heard) for k in range(len(words) + 1)]
    best = max(k for k, cost in enumerate(costs) if cost == min(costs))
    assert held <= common_length(words[:best], heard)
    assert min(costs) >= max(best, len(heard)) - held


def test_a_stream_has_the_same_numbers_alone_and_among_others() -> None:
    rows = [
        made_up.row(),
        made_up.row(outcome="timeout"),
        made_up.row(pace=0.0),
        made_up.row(words=None, frame_ms=None),
    ]
    alone = [Stream.of(row) for row in rows]
    assert Stream.all_of(pd.DataFrame(rows)) == alone
    assert [eos_ms(stream) for stream in alone] == [measure(stream).times["eos"] for stream in alone]
