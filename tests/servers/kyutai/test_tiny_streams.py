"""Streams that the tiny Kyutai model learns from: clips behind one another, words and times kept."""

from __future__ import annotations

import numpy as np
import pytest

from samples.lessons.batches import Batch
from servers.kyutai.tiny.streams import FRAME, RATE_HZ, joined

WORDS = (("one", "two"), ("three",), (), ("four",), ("five",))


def batch() -> Batch:
    """Clips of 1 s at 16 kHz; a word is a burst of 0.2 s."""
    audio = np.zeros((len(WORDS), 16_000), np.float32)
    spans = []
    for row, words in enumerate(WORDS):
        begins_s = [0.1 + 0.4 * at for at in range(len(words))]
        for begin_s in begins_s:
            audio[row, round(begin_s * 16_000) : round((begin_s + 0.2) * 16_000)] = 0.9
        spans.append(np.array([(begin_s, begin_s + 0.2) for begin_s in begins_s], np.float32).reshape(-1, 2))
    return Batch(audio, np.full(len(WORDS), 16_000), WORDS, tuple(spans))


@pytest.mark.parametrize("seed", range(8))
def test_every_word_is_where_it_is_said_to_be(seed: int) -> None:
    found = joined(batch(), np.random.default_rng(seed))

    assert found.audio.shape[1] == found.frames * FRAME
    assert [word for words in found.words for word in words] == ["one", "two", "three", "four", "five"]
    for row, spans in enumerate(found.spans):
        for begin_s, end_s in spans:
            middle = found.audio[row, round((begin_s + 0.02) * RATE_HZ) : round((end_s - 0.02) * RATE_HZ)]
            assert np.abs(middle).mean() > 0.8


def test_the_same_seed_joins_alike() -> None:
    one, other = (joined(batch(), np.random.default_rng(3)) for _ in range(2))

    assert np.array_equal(one.audio, other.audio)
