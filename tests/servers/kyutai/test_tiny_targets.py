"""What the tiny Kyutai model is taught to write and to know of pauses, step by step."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from samples.lessons.batches import Spans
from samples.lessons.frames import NOT_ASKED
from servers.kyutai.tiny.targets import (
    BOUNDARY,
    DELAY,
    FRAME_S,
    IN_PAUSE,
    IN_SPEECH,
    PAD,
    PAUSES_S,
    pauses,
    tokens,
)

FRAMES = 60


def spans(*pairs: tuple[float, float]) -> Spans:
    return np.array(pairs, np.float32).reshape(-1, 2)


def test_a_word_is_written_where_moshi_server_takes_it_for_begun() -> None:
    found = tokens([[10, 11]], spans((0.8, 1.2)), FRAMES)

    assert len(found) == FRAMES + 1
    assert found[9 + DELAY : 12 + DELAY].tolist() == [BOUNDARY, 10, 11]
    assert (np.delete(found, range(9 + DELAY, 12 + DELAY)) == PAD).all()


def test_a_word_waits_until_the_one_before_is_written() -> None:
    found = tokens([[10, 11, 12], [13]], spans((0.8, 0.96), (0.96, 1.2)), FRAMES)

    assert found[9 + DELAY : 15 + DELAY].tolist() == [BOUNDARY, 10, 11, 12, BOUNDARY, 13]


def test_what_comes_behind_the_last_step_is_left_out() -> None:
    found = tokens([[10, 11]], spans((0.8, 1.2)), frames=9 + DELAY)

    assert found[-2:].tolist() == [PAD, BOUNDARY]


@given(
    st.lists(st.tuples(st.floats(0.05, 0.9), st.integers(1, 4)), max_size=12),
    st.floats(0, 2),
)
def test_all_words_are_written_in_order(said: list[tuple[float, int]], begin_s: float) -> None:
    ends_s = begin_s + np.cumsum([length_s for length_s, _ in said])
    pairs = zip([begin_s, *ends_s[:-1]], ends_s, strict=False)
    words = [list(range(10 * at + 4, 10 * at + 4 + count)) for at, (_, count) in enumerate(said)]

    found = tokens(words, spans(*pairs), frames=400)

    assert [token for token in found if token != PAD] == [token for word in words for token in (BOUNDARY, *word)]


def test_a_pause_counts_for_every_head_that_it_is_long_enough_for() -> None:
    found = pauses(spans((0.0, 0.4), (1.6, 2.0), (2.2, 2.4)), frames=75)

    assert found.shape == (76, len(PAUSES_S))
    assert (found[6:20, 0] == IN_PAUSE).all() and (found[6:20, 1] == IN_PAUSE).all()
    assert (found[6:20, 2:] == IN_SPEECH).all()
    assert (found[21:30] == IN_SPEECH).all()


def test_the_end_of_a_stream_leaves_longer_pauses_open() -> None:
    found = pauses(spans((0.0, 0.4)), frames=round(1.6 / FRAME_S))

    assert found[10].tolist() == [IN_PAUSE, IN_PAUSE, NOT_ASKED, NOT_ASKED]


def test_a_stream_without_a_word_is_one_pause() -> None:
    assert (pauses(spans(), frames=50) == IN_PAUSE).all()
