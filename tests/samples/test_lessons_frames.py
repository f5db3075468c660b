"""Each frame is labelled with the word that is spoken in it."""

from __future__ import annotations

import numpy as np

from samples.lessons import frames
from samples.pool import tiny_vocabulary


def test_a_frame_is_labelled_with_its_word() -> None:
    spans = np.array([(0.16, 0.32), (0.32, 0.48)], np.float32)

    labels = frames.labels(("a", "your"), spans, 8)

    silence, first, last = frames.NO_WORD, 1, len(tiny_vocabulary())
    assert labels.tolist() == [silence, silence, first, first, last, last, silence, silence]


def test_frames_behind_the_clip_are_none() -> None:
    assert frames.labels(("a",), np.array([(0.0, 0.8)], np.float32), 3).tolist() == [1, 1, 1]


def test_a_frame_knows_how_soon_its_word_ends() -> None:
    spans = np.array([(0.08, 0.24), (0.24, 0.72)], np.float32)

    found = frames.remaining(spans, 10, most=4)

    silence = frames.NOT_ASKED
    assert found.tolist() == [silence, 2, 1, 4, 4, 4, 3, 2, 1, silence]
    assert frames.remaining(spans, 5, most=4).tolist() == [silence, 2, 1, 4, 4]
