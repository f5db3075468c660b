"""Bytes of any portions become the same samples."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.common.interfaces import Audio
from servers.fastconformer.intake import SLICE_BYTES, Intake


def portions_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def read_all(intake: Intake, portions: list[bytes]) -> Audio:
    pieces = [samples for portion in portions for samples in intake.read(portion)]
    return np.concatenate([*pieces, intake.drain(), np.zeros(0, np.float32)])


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 48_000])
@settings(deadline=None)
@given(seed=st.integers(0, 99), size=st.integers(0, 9_000), cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_any_cutting_gives_the_same_samples(rate_hz: int, seed: int, size: int, cuts: list[int]) -> None:
    data = np.random.default_rng(seed).bytes(size)
    whole, cut = Intake(rate_hz), Intake(rate_hz)
    assert np.array_equal(read_all(whole, [data]), read_all(cut, portions_of(data, cuts)))
    assert whole.has_half_sample == cut.has_half_sample == bool(size % 2)


def test_samples_are_what_the_bytes_say() -> None:
    (samples,) = Intake(16_000).read(np.array([0, -32_768, 16_384], "<i2").tobytes())
    assert samples.tolist() == [0.0, -1.0, 0.5]
    assert samples.dtype == np.float32


def test_a_long_message_comes_in_slices() -> None:
    sizes = [len(samples) for samples in Intake(16_000).read(bytes(2 * SLICE_BYTES + 7))]
    assert sizes == [SLICE_BYTES // 2, SLICE_BYTES // 2, 3]


def test_after_a_half_sample_is_dropped_the_next_is_whole() -> None:
    intake = Intake(16_000)
    assert [len(samples) for samples in intake.read(b"\0\0\1")] == [1]
    intake.drop_half_sample()
    (samples,) = intake.read(np.array([16_384], "<i2").tobytes())
    assert samples.tolist() == [0.5]


def test_a_drained_resampler_keeps_nothing_of_before() -> None:
    tone = (8_000 * np.sin(np.arange(4_800) / 9)).astype("<i2").tobytes()
    fresh, used = Intake(48_000), Intake(48_000)
    read_all(used, [np.full(4_800, 30_000, "<i2").tobytes()])
    assert np.array_equal(read_all(used, [tone]), read_all(fresh, [tone]))


def test_the_length_follows_the_rate() -> None:
    assert len(read_all(Intake(48_000), [bytes(2 * 48_000)])) == 16_000
    assert len(read_all(Intake(8_000), [bytes(2 * 8_000)])) == 16_000
