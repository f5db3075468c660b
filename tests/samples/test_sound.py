"""Level, ends, noise and encodings do what their names say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from samples import encoding
from samples.sound import (
    FAINT_NOISE_DBFS,
    SPEECH_LEVEL_DBFS,
    Samples,
    active_rms,
    babble,
    ended,
    levelled,
    mixed,
    speech_end_s,
    with_faint_noise,
)

RATE_HZ = encoding.SAMPLE_RATE_HZ


def tone(*, seconds: float, level: float = 0.3) -> Samples:
    return (level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def db(ratio: float) -> float:
    return float(20 * np.log10(ratio))


@given(st.floats(0.001, 0.9), st.floats(0.0, 1.0))
def test_level_is_that_of_the_speech_whatever_the_pause(level: float, pause_s: float) -> None:
    quiet = np.zeros(round(pause_s * RATE_HZ), np.float32)
    heard = levelled(np.concatenate([tone(seconds=0.5, level=level), quiet]), sample_rate_hz=RATE_HZ)
    assert db(active_rms(heard[: RATE_HZ // 2], sample_rate_hz=RATE_HZ)) == pytest.approx(SPEECH_LEVEL_DBFS, abs=0.5)


@given(st.integers(1, 100), st.floats(0.0, 0.5))
def test_speech_end_is_found_to_a_frame(frames: int, silence_s: float) -> None:
    heard = ended(tone(seconds=2.0), at_s=frames / 100, silence_s=silence_s, sample_rate_hz=RATE_HZ)
    assert len(heard) == frames * RATE_HZ // 100 + round(silence_s * RATE_HZ)
    assert speech_end_s(heard, sample_rate_hz=RATE_HZ) == pytest.approx(frames / 100, abs=0.0101)


def test_end_fades_and_then_is_silent() -> None:
    heard = ended(np.ones(RATE_HZ, np.float32), at_s=0.5, silence_s=0.1, sample_rate_hz=RATE_HZ)
    assert heard[RATE_HZ // 2 - 81] == 1.0
    assert np.all(np.diff(heard[RATE_HZ // 2 - 80 : RATE_HZ // 2]) < 0)
    assert not heard[RATE_HZ // 2 :].any()


def test_faint_noise_is_faint_seeded_and_everywhere() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    noise = with_faint_noise(silence, seed=3)
    assert db(float(noise.std())) == pytest.approx(FAINT_NOISE_DBFS, abs=0.3)
    assert np.array_equal(noise, with_faint_noise(silence, seed=3))
    assert not np.array_equal(noise, with_faint_noise(silence, seed=4))


@given(st.floats(-5, 30))
def test_mix_has_the_ratio_asked_for(snr_db: float) -> None:
    speech = tone(seconds=1.0, level=0.05)
    noise = babble(
        [tone(seconds=0.7), tone(seconds=0.4, level=0.01)], len(speech), seed=1, talkers=3, sample_rate_hz=RATE_HZ
    )
    both = mixed(speech, noise, snr_db=snr_db, sample_rate_hz=RATE_HZ)
    # Whatever the gain against clipping: solve both = a * speech + b * noise.
    (a, b), *_ = np.linalg.lstsq(np.stack([speech, noise], axis=1), both, rcond=None)
    assert db(a * active_rms(speech, sample_rate_hz=RATE_HZ) / b) == pytest.approx(snr_db, abs=0.1)
    assert np.abs(both).max() <= 0.91


@pytest.mark.parametrize("suffix", sorted(encoding.SUFFIXES))
def test_same_samples_give_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    heard = with_faint_noise(tone(seconds=3.0), seed=1)
    for name in ("one", "two"):
        encoding.write(tmp_path / f"{name}{suffix}", heard)
    decoded, rate_hz = soundfile.read(tmp_path / f"one{suffix}", dtype="float32")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert (rate_hz, len(decoded)) == (RATE_HZ, len(heard))
    assert np.corrcoef(decoded, heard)[0, 1] > 0.99
