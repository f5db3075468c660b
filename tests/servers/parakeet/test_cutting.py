"""Where files are cut: at pauses where there are any, everything heard, nothing longer than the model may hear."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.audio import SAMPLE_RATE_HZ
from servers.parakeet.files.cutting import OVERLAP_S, Piece, cut, find_pause, search
from servers.parakeet.interfaces import WINDOW_SAMPLES, Probabilities

LONGEST = 30 * SAMPLE_RATE_HZ


def pieces_of(heard: Probabilities, total: int, *, longest: int = LONGEST, threshold: float = 0.5) -> list[Piece]:
    """`heard`: the detector's probability for each window of the file."""
    pieces, start, overlap = [], 0, 0
    while (looked := search(start, total, longest=longest)) is not None:
        windows = (looked.end - looked.start) // WINDOW_SAMPLES
        first = looked.start // WINDOW_SAMPLES
        pause = find_pause(looked, heard[first : first + windows], threshold=threshold)
        piece, start, overlap = cut(start, looked, pause, longest=longest, overlap=overlap)
        pieces.append(piece)
    return [*pieces, Piece(start, total, overlap)]


def speech(seconds: float, *pauses_s: tuple[float, float]) -> Probabilities:
    """Speech all the time but from and to these seconds."""
    heard = np.full(int(seconds * SAMPLE_RATE_HZ) // WINDOW_SAMPLES + 1, 0.9, np.float32)
    for begin_s, end_s in pauses_s:
        heard[round(begin_s * 31.25) : round(end_s * 31.25)] = 0.1
    return heard


def at_s(samples: int) -> float:
    return samples / SAMPLE_RATE_HZ


@given(
    total=st.integers(1, 200 * SAMPLE_RATE_HZ),
    longest_s=st.floats(2, 60),
    seed=st.integers(0, 99),
    talk=st.floats(0, 1),
)
def test_every_sample_is_heard_and_no_piece_is_too_long(total: int, longest_s: float, seed: int, talk: float) -> None:
    longest = int(longest_s * SAMPLE_RATE_HZ)
    heard = (np.random.default_rng(seed).random(total // WINDOW_SAMPLES + 1) ** (1 - talk)).astype(np.float32)
    pieces = pieces_of(heard, total, longest=longest)
    assert pieces[0].start == 0 and pieces[-1].end == total
    for before, after in pairwise(pieces):
        assert before.end - after.start == after.overlap >= 0
        assert before.start < after.start
    assert all(piece.overlap < piece.end - piece.start <= longest for piece in pieces)


def test_a_file_that_fits_is_one_piece() -> None:
    assert pieces_of(speech(30), LONGEST) == [Piece(0, LONGEST)]


def test_the_last_pause_is_taken() -> None:
    pieces = pieces_of(speech(50, (5, 5.5), (17, 17.5), (24, 24.5)), 50 * SAMPLE_RATE_HZ)
    assert len(pieces) == 2
    assert 24 < at_s(pieces[0].end) < 24.5
    assert pieces[1].overlap == 0


def test_a_long_pause_is_preferred_to_a_later_short_one() -> None:
    pieces = pieces_of(speech(50, (24, 24.6), (27, 27.16)), 50 * SAMPLE_RATE_HZ)
    assert 24 < at_s(pieces[0].end) < 24.6


def test_of_a_long_silence_the_end_is_taken() -> None:
    pieces = pieces_of(speech(50, (16, 29)), 50 * SAMPLE_RATE_HZ)
    assert 28.5 < at_s(pieces[0].end) < 29


@pytest.mark.parametrize("pauses", [(), ((3.0, 4.0),), ((24.0, 24.06),)], ids=["none", "too early", "too short"])
def test_without_a_pause_the_pieces_overlap(pauses: tuple[tuple[float, float], ...]) -> None:
    first, second = pieces_of(speech(40, *pauses), 40 * SAMPLE_RATE_HZ)
    assert at_s(first.end) == pytest.approx(30, abs=0.04)
    assert at_s(second.overlap) == OVERLAP_S


def test_no_scrap_is_left_for_the_last_piece() -> None:
    """Of a file that is a little too long the second piece is no single word."""
    for pauses in ((), ((29.0, 29.9),)):
        pieces = pieces_of(speech(30.5, *pauses), round(30.5 * SAMPLE_RATE_HZ))
        assert [at_s(piece.end - piece.start) >= 5 for piece in pieces] == [True, True]


def test_the_detector_is_warm_where_its_word_counts() -> None:
    """It begins half a second early, and what it says of that half second makes no cut."""
    looked = search(0, 60 * SAMPLE_RATE_HZ, longest=LONGEST)
    assert looked is not None
    assert 0.4 <= at_s(looked.counts - looked.start) <= 0.6
    cold = np.full((looked.end - looked.start) // WINDOW_SAMPLES, 0.9, np.float32)
    cold[:15] = 0.0
    assert find_pause(looked, cold, threshold=0.5) is None


def test_a_doubtful_window_is_no_pause() -> None:
    """Between threshold - 0.15 and threshold speech goes on, as in Silero's own iterator."""
    doubtful = speech(50, (24, 24.5))
    doubtful[doubtful < 0.5] = 0.4
    assert pieces_of(doubtful, 50 * SAMPLE_RATE_HZ)[1].overlap > 0
