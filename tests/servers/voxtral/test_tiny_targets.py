"""What the tiny model is to write at each step: words behind their end by the delay, one after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from samples.lessons.batches import Spans
from servers.voxtral.tiny import targets
from servers.voxtral.tiny.targets import PAD, WORD, tokens

SPOKEN = st.lists(st.tuples(st.floats(0.05, 0.9), st.floats(0.0, 0.5), st.integers(1, 2)), max_size=8)


def spans(*ends: tuple[float, float]) -> Spans:
    return np.array(ends, np.float32).reshape(-1, 2)


def test_a_word_is_told_by_the_delay_behind_its_last_frame() -> None:
    found = tokens([(7, 8)], spans((0.05, 0.30)), left=4, delay=6, steps=20)

    assert targets.last_frame(0.30) == 3
    assert found[4 + 3 + 6 :][:3].tolist() == [WORD, 7, 8]
    assert (found == PAD).sum() == 17


def test_a_word_that_ends_with_a_frame_ends_in_it() -> None:
    assert [targets.last_frame(end_s) for end_s in (0.0, 0.079, 0.08, 0.081, 0.16)] == [0, 0, 0, 1, 1]


def test_a_word_waits_until_the_one_before_is_written() -> None:
    found = tokens([(7, 8), (9,)], spans((0.0, 0.1), (0.1, 0.15)), left=0, delay=1, steps=9)

    assert found.tolist() == [PAD, PAD, WORD, 7, 8, WORD, 9, PAD, PAD]


def test_what_the_steps_do_not_reach_is_not_asked_for() -> None:
    assert tokens([(7, 8)], spans((0.0, 0.08)), left=0, delay=2, steps=4).tolist() == [PAD, PAD, WORD, 7]
    assert tokens([(7, 8)], spans((0.0, 0.08)), left=0, delay=9, steps=4).tolist() == [PAD] * 4


@given(SPOKEN, st.integers(1, 30), st.integers(0, 32))
def test_nothing_is_lost_and_nothing_comes_early(said: list[tuple[float, float, int]], delay: int, left: int) -> None:
    ends, begin_s = [], 0.0
    for length_s, gap_s, _ in said:
        ends.append((begin_s + gap_s, begin_s + gap_s + length_s))
        begin_s = ends[-1][1]
    pieces = [tuple(range(100 * (at + 1), 100 * (at + 1) + count)) for at, (_, _, count) in enumerate(said)]

    found = tokens(pieces, spans(*ends), left=left, delay=delay, steps=300)

    assert [token for token in found if token not in (PAD, WORD)] == [token for word in pieces for token in word]
    heads = np.flatnonzero(found == WORD)
    assert len(heads) == len(said)
    assert all((at - left - delay + 1) * 0.08 >= end_s - 1e-3 for at, (_, end_s) in zip(heads, ends, strict=True))
