"""Where the tiny model may write each word piece: near where the word is spoken, and always somewhere."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from samples.lessons.frames import FRAME_S
from servers.parakeet.tiny.alignment import Frames, windows

LONGEST = 4
FRAMES = 30
WORDS = st.lists(
    st.tuples(st.floats(0.0, 0.4), st.floats(0.0, 0.7), st.integers(1, 6)), max_size=6
)  # silence before, length, pieces


def spans_of(words: list[tuple[float, float, int]]) -> NDArray[np.float32]:
    marks = np.cumsum([length for silence, lasts, _ in words for length in (silence, lasts)])
    return marks.reshape(-1, 2).astype(np.float32)


def has_path(begins: Frames, ends: Frames) -> bool:
    """Whether every piece can be written in turn, none lasting longer than LONGEST frames."""
    listening = {0}
    for (first, first_by), (last, last_by) in zip(begins, ends, strict=True):
        starts = range(max(first, min(listening)), first_by + 1)
        landed = {(start, start + lasts) for start in starts for lasts in range(LONGEST + 1)}
        listening = {at for start, at in landed if at <= last_by and (at >= last or at - start == LONGEST)}
        if not listening:
            return False
    return max(listening) < FRAMES


@given(WORDS)
def test_there_is_always_a_path(words: list[tuple[float, float, int]]) -> None:
    assert has_path(*windows(spans_of(words), [pieces for *_, pieces in words], FRAMES, longest=LONGEST))


@given(WORDS)
def test_a_words_ends_are_within_a_frame_of_the_truth(words: list[tuple[float, float, int]]) -> None:
    spans, pieces = spans_of(words), [count for *_, count in words]
    begins, ends = windows(spans, pieces, 1000, longest=LONGEST)

    first = np.cumsum([0, *pieces])[:-1]
    last = np.cumsum(pieces).astype(int) - 1
    for at, (begin_s, end_s) in enumerate(spans):
        assert np.abs(begins[first[at]] * FRAME_S - begin_s).max() <= FRAME_S
        assert np.abs(ends[last[at]] * FRAME_S - end_s).max() <= FRAME_S


def test_pieces_of_a_word_lie_within_it() -> None:
    spans = np.array([(0.2, 0.5), (0.57, 0.6)], np.float32)

    begins, ends = windows(spans, [3, 1], 20, longest=LONGEST)

    assert begins.tolist() == [[2, 3], [2, 7], [2, 7], [7, 8]]
    assert ends.tolist() == [[2, 7], [2, 7], [6, 7], [7, 8]]


def test_the_last_piece_of_a_long_word_reaches_its_end() -> None:
    begins, ends = windows(np.array([(0.0, 0.81)], np.float32), [2], 20, longest=LONGEST)

    assert begins.tolist() == [[0, 0], [10 - LONGEST, 11]] and ends.tolist() == [[0, 11], [10, 11]]


def test_no_words_have_no_windows() -> None:
    begins, ends = windows(np.zeros((0, 2), np.float32), [], 5, longest=LONGEST)

    assert begins.shape == ends.shape == (0, 2)
