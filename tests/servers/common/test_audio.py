"""Samples keep their values and their duration on the way in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.audio import float_to_pcm16, pcm16_to_float, read_sample_rate, resample
from servers.common.errors import BadInput


@given(st.lists(st.integers(-32768, 32767)))
def test_pcm16_survives_the_round_trip(samples: list[int]) -> None:
    data = np.array(samples, dtype="<i2").tobytes()
    assert float_to_pcm16(pcm16_to_float(data)) == data


def test_too_loud_samples_are_clipped() -> None:
    loud = np.array([2.0, 1.0, -2.0], dtype=np.float32)
    assert np.frombuffer(float_to_pcm16(loud), "<i2").tolist() == [32767, 32767, -32768]


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(BadInput, match="even number"):
        pcm16_to_float(b"\0\0\0")


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000])
def test_resampling_keeps_pitch_and_duration(rate_hz: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz).astype(np.float32)
    converted = resample(tone, from_hz=rate_hz)
    assert converted.dtype == np.float32
    assert abs(len(converted) - 16000) <= 1
    assert np.argmax(np.abs(np.fft.rfft(converted[:16000]))) == pytest.approx(440, abs=1)


def test_16_khz_is_not_touched() -> None:
    audio = np.zeros(10, dtype=np.float32)
    assert resample(audio, from_hz=16000) is audio


@pytest.mark.parametrize("rate_hz", [0, -1, 7999, 48001])
def test_rates_outside_the_range_are_refused(rate_hz: int) -> None:
    with pytest.raises(BadInput) as refusal:
        resample(np.zeros(10, dtype=np.float32), from_hz=rate_hz)
    assert refusal.value.limit == "8000..48000"


@pytest.mark.parametrize("text", ["", "16k", "16000.0", "-8000", "7999", "48001", "9" * 40, "²"])
def test_bad_rate_headers_are_refused(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        read_sample_rate(text)
    assert refusal.value.field == "X-Sample-Rate"


def test_rate_header_and_its_absence() -> None:
    assert read_sample_rate(" 8000 ") == 8000
    assert read_sample_rate(None) == 16000
