"""What the ears of tiny checkpoints are taught: thirds of words, step by step."""

from __future__ import annotations

import numpy as np

from samples.lessons.batches import Spans
from samples.pool import tiny_vocabulary
from servers.common.tiny.word_states import THIRDS, state_count, states

WORDS = tiny_vocabulary()


def spans(*pairs: tuple[float, float]) -> Spans:
    return np.array(pairs, np.float32).reshape(-1, 2)


def test_a_state_is_the_third_of_a_word_that_is_being_spoken() -> None:
    found = states((WORDS[5],), spans((0.08, 0.32)), 8, left=2)

    assert found.tolist() == [0, 0, 0, 1 + 15, 1 + 16, 1 + 17, 0, 0]
    assert state_count() == 1 + 3 * len(WORDS)


def test_states_are_thirds_of_words() -> None:
    found = states((WORDS[5],), spans((0.16, 0.64)), 10)

    first = 1 + 5 * THIRDS
    assert found.tolist() == [0, 0, first, first, first + 1, first + 1, first + 2, first + 2, 0, 0]
    assert found.max() < state_count() == 1 + 3 * len(WORDS)
