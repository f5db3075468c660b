"""Clips behind one another become a stream: nothing is lost, words stay where they are spoken."""

from __future__ import annotations

import numpy as np
import pytest

from samples.lessons.batches import Batch
from servers.voxtral.tiny.streams import FRAME, joined


def batch(count: int) -> Batch:
    """Clips of half a second, each of one word from 0.1 to 0.4 s, as loud as its number."""
    audio = np.repeat(np.arange(1, count + 1, dtype=np.float32)[:, None], 9000, 1)
    audio[:, 8000:] = 0
    texts = tuple((f"w{at}",) for at in range(count))
    span = np.array([[0.1, 0.4]], np.float32)
    return Batch(audio, np.full(count, 8000), texts, (span,) * count)


@pytest.mark.parametrize("seed", range(8))
def test_every_word_is_where_its_clip_is(seed: int) -> None:
    streams = joined(batch(7), np.random.default_rng(seed))

    assert [word for one in streams for word in one.words] == [f"w{at}" for at in range(7)]
    for one in streams:
        for word, (begin_s, end_s) in zip(one.words, one.spans, strict=True):
            spoken = one.audio[int(begin_s * 16_000) + 10 : int(end_s * 16_000) - 10]
            assert (spoken == int(word[1:]) + 1).all()


def test_a_stream_ends_with_its_last_clip() -> None:
    for one in joined(batch(5), np.random.default_rng(0)):
        assert one.audio[-1] == int(one.words[-1][1:]) + 1
        assert (one.frames - 1) * FRAME < len(one.audio) <= one.frames * FRAME
