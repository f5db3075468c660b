"""Features against the reference's: not near, equal."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from servers.common.interfaces import Audio
from servers.smart_turn.features import EDGE, HOP, N_FRAMES, N_MELS, N_SAMPLES, LogMel, mel_filters


@cache
def reference() -> Any:
    from pipecat.audio.turn.smart_turn import _whisper_features

    return _whisper_features


def expected(clip: Audio) -> NDArray[np.float32]:
    kept = clip[-N_SAMPLES:]
    padded = np.pad(kept, (N_SAMPLES - kept.size, 0))
    features: NDArray[np.float32] = reference().compute_whisper_log_mel_features(padded)
    return features


def features(clip: Audio, log_mel: LogMel | None = None) -> NDArray[np.float32]:
    out = np.full((N_MELS, N_FRAMES), np.nan, np.float32)
    (log_mel or LogMel())(clip, out)
    return out


def noise(count: int, *, seed: int = 0, gain: float = 0.1) -> Audio:
    samples: Audio = np.random.default_rng(seed).standard_normal(count, np.float32) * np.float32(gain)
    return samples


def test_the_filters_are_the_reference_s() -> None:
    assert np.array_equal(mel_filters(), reference()._MEL_FILTERS)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, N_SAMPLES + 1000), st.integers(0, 2**32 - 1), st.floats(1e-6, 100))
def test_any_clip_has_bit_equal_features(count: int, seed: int, gain: float) -> None:
    clip = noise(count, seed=seed, gain=gain)

    assert np.array_equal(features(clip), expected(clip))


EDGES = [1, 2, N_SAMPLES - EDGE - 1, N_SAMPLES - EDGE, N_SAMPLES - EDGE + 1, N_SAMPLES - 1, N_SAMPLES]


@pytest.mark.parametrize("count", EDGES + [N_SAMPLES - EDGE - HOP + step for step in (-1, 0, 1)])
def test_lengths_at_which_a_frame_begins_to_touch_the_padding(count: int) -> None:
    clip = noise(count)

    assert np.array_equal(features(clip), expected(clip))


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5])
def test_silence_and_constants(value: float) -> None:
    clip = np.full(20_000, value, np.float32)

    assert np.array_equal(features(clip), expected(clip))


def test_one_clip_leaves_nothing_behind_for_the_next() -> None:
    log_mel = LogMel()

    for clip in (noise(N_SAMPLES), noise(100), noise(90_000, seed=1), noise(5, seed=2)):
        assert np.array_equal(features(clip, log_mel), expected(clip))
