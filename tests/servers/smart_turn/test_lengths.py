"""Frame counts of v2, against the reference's own way of counting, and how short a batch may be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from servers.smart_turn.lengths import FULL_SAMPLES, SAMPLE_RATE_HZ, Buckets, Lengths
from servers.smart_turn.weights import PUBLISHED_CONFIG

CONFIG = json.loads(PUBLISHED_CONFIG.read_text(encoding="utf-8"))
LENGTHS = Lengths(CONFIG["conv_kernel"], CONFIG["conv_stride"])
SAMPLES = st.integers(1, FULL_SAMPLES)


def test_the_published_stack() -> None:
    assert (LENGTHS.receptive, LENGTHS.stride, LENGTHS.full_frames) == (400, 320, 799)
    assert LENGTHS.first_frames(FULL_SAMPLES) == 51_199
    assert (LENGTHS.attended(FULL_SAMPLES), LENGTHS.pooled(FULL_SAMPLES)) == (799, 799)


@given(SAMPLES)
def test_frames_are_those_that_lie_within_the_samples(samples: int) -> None:
    inside = sum(at * LENGTHS.stride + LENGTHS.receptive <= samples for at in range(LENGTHS.full_frames))

    assert max(0, LENGTHS.frames(samples)) == inside
    assert LENGTHS.attended(samples) == (inside or LENGTHS.full_frames + LENGTHS.frames(samples))


@given(SAMPLES)
@example(1)
@example(FULL_SAMPLES)
def test_pooled_frames_are_the_ones_in_the_reference_s_mask(samples: int) -> None:
    mask = np.arange(FULL_SAMPLES) < samples
    at = (np.arange(799, dtype=np.float32) * np.float32(FULL_SAMPLES / 799)).astype(np.int64)

    assert LENGTHS.pooled(samples) == mask[at].sum()


@given(SAMPLES)
@example(400)
@example(6_450)
def test_what_is_needed_holds_the_clip_and_every_frame_that_counts(samples: int) -> None:
    needed = LENGTHS.needed(samples)

    assert samples <= needed <= FULL_SAMPLES
    assert LENGTHS.frames(needed) >= max(LENGTHS.attended(samples), LENGTHS.pooled(samples))
    first = LENGTHS.first_frames(needed)  # of the first convolution every frame with a real sample is computed
    assert first == LENGTHS.first_frames(FULL_SAMPLES) or first * LENGTHS.layers[0][1] >= samples
    assert needed == FULL_SAMPLES or samples < LENGTHS.receptive or needed <= samples + 2 * LENGTHS.receptive


@given(st.lists(SAMPLES, min_size=1, max_size=6), st.sampled_from([(2, 4, 8), tuple(range(1, 16)), (3.3,), ()]))
def test_a_bucket_holds_each_of_its_clips(clips: list[int], seconds: tuple[float, ...]) -> None:
    chosen = Buckets(LENGTHS, seconds).choose(max(clips), min(clips))

    assert all(LENGTHS.needed(clip) <= chosen <= FULL_SAMPLES for clip in clips)


def test_buckets_are_little_longer_than_their_seconds() -> None:
    samples = Buckets(LENGTHS, (2, 4, 8, 16)).samples

    assert samples == (32_080, 64_080, 128_080, FULL_SAMPLES)
    assert Buckets(LENGTHS, (2, 4, 8, 16)).choose(4 * SAMPLE_RATE_HZ, 4 * SAMPLE_RATE_HZ) == 64_080
    with pytest.raises(ValueError, match="ascending"):
        Buckets(LENGTHS, (4, 2))
