"""Noise keeps the asked distance below the speech, whatever the speech; it never clips; a seed repeats it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from yapbench.corpora import noise

RATE_HZ = 16_000


def speech(seed: int, *, seconds: float, loudness: float, pauses: bool) -> NDArray[np.float32]:
    """A buzz of random harmonics in syllables, with digital silence between them where asked for."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    buzz = sum(rng.uniform() * np.sin(2 * np.pi * 120 * k * times + rng.uniform(0, 6)) for k in range(1, 12))
    shape = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(1, 5) * times)
    gate = np.sin(2 * np.pi * 0.7 * times) > -0.3 if pauses else np.ones(len(times), bool)
    sound = np.asarray(buzz * shape * gate)
    return np.asarray(loudness * sound / np.abs(sound).max(), np.float32)


def measured_db(clean: NDArray[np.float32], mixed: NDArray[np.float32], gain: float) -> float:
    """Written apart from the code under test: both powers over the 20 ms frames within 30 dB of the loudest."""
    frames = len(clean) // 320
    rest = mixed.astype(np.float64) / gain - clean
    speech_power = (clean[: frames * 320].astype(np.float64).reshape(frames, 320) ** 2).mean(axis=1)
    noise_power = (rest[: frames * 320].reshape(frames, 320) ** 2).mean(axis=1)
    loud = speech_power >= speech_power.max() / 1000
    return 10 * math.log10(speech_power[loud].sum() / noise_power[loud].sum())


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    seconds=st.sampled_from([0.5, 1.0, 2.0, 3.0]),
    loudness=st.sampled_from([0.003, 0.1, 0.5, 1.0]),
    pauses=st.booleans(),
    asked_db=st.floats(noise.LOWEST_SNR_DB, noise.HIGHEST_SNR_DB),
    kind=st.sampled_from(noise.NOISES),
)
def test_the_measured_snr_is_the_asked_one(
    seed: int, seconds: float, loudness: float, pauses: bool, asked_db: float, kind: noise.Noise
) -> None:
    clean = speech(seed, seconds=seconds, loudness=loudness, pauses=pauses)
    rng = np.random.default_rng(seed)
    talkers = [speech(seed + n, seconds=1.3, loudness=0.2 * n, pauses=True) for n in (1, 2, 3)]
    below = {
        "white": lambda: noise.white(len(clean), rng),
        "pink": lambda: noise.pink(len(clean), rng),
        "babble": lambda: noise.babble(len(clean), rng, talkers, sample_rate_hz=RATE_HZ),
    }[kind]()
    mixed, gain = noise.mix(clean, below, snr_db=asked_db, sample_rate_hz=RATE_HZ)
    assert measured_db(clean, mixed, gain) == pytest.approx(asked_db, abs=0.1)
    assert np.abs(mixed).max() <= noise.PEAK + 1e-6
    assert 0 < gain <= 1


def test_a_mix_that_would_clip_is_turned_down_with_its_speech() -> None:
    clean = speech(1, seconds=1.0, loudness=1.0, pauses=False)
    hiss = noise.white(len(clean), np.random.default_rng(0))
    loud, gain = noise.mix(clean, hiss, snr_db=0, sample_rate_hz=RATE_HZ)
    quiet, same = noise.mix(clean / 20, hiss, snr_db=0, sample_rate_hz=RATE_HZ)
    assert gain < 1.0 == same
    assert np.abs(loud).max() == pytest.approx(noise.PEAK)
    assert loud == pytest.approx(quiet * 20 * gain, abs=1e-5)


def test_pauses_do_not_make_the_noise_louder() -> None:
    talk = speech(3, seconds=1.0, loudness=0.3, pauses=False)
    paused = np.concatenate([talk, np.zeros(4 * RATE_HZ, np.float32)])
    rng = np.random.default_rng(5)
    hiss = noise.white(len(paused), rng)
    short, _ = noise.mix(talk, hiss[: len(talk)], snr_db=10, sample_rate_hz=RATE_HZ)
    long, _ = noise.mix(paused, hiss, snr_db=10, sample_rate_hz=RATE_HZ)
    assert long[: len(talk)] == pytest.approx(short, abs=1e-6)
    assert np.abs(long[len(talk) :]).max() > 0


@pytest.mark.parametrize("make", [noise.white, noise.pink], ids=["white", "pink"])
def test_a_seed_repeats_and_another_differs(make: object) -> None:
    assert callable(make)
    one, same, other = (make(8000, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert math.sqrt((one**2).mean()) == pytest.approx(1, abs=0.03)


def test_colours_fall_as_their_names_say() -> None:
    def octave_db(samples: NDArray[np.float64], low_hz: int) -> float:
        power = np.abs(np.fft.rfft(samples)) ** 2
        return 10 * math.log10(power[low_hz : 2 * low_hz].sum())

    hiss, rumble = (make(RATE_HZ, np.random.default_rng(4)) for make in (noise.white, noise.pink))
    # An octave is twice as wide as the one below it: white gains 3 dB, pink stays. One bin of a second is 1 Hz.
    assert octave_db(hiss, 2000) - octave_db(hiss, 250) == pytest.approx(9.0, abs=1)
    assert octave_db(rumble, 2000) - octave_db(rumble, 250) == pytest.approx(0.0, abs=1)


def test_babble_holds_every_talker_equally_loud() -> None:
    loud, faint = (speech(n, seconds=2, loudness=level, pauses=False) for n, level in ((1, 0.9), (2, 0.009)))
    crowd = noise.babble(2 * RATE_HZ, np.random.default_rng(0), [loud, faint], sample_rate_hz=RATE_HZ)

    def share(talker: NDArray[np.float32]) -> float:
        """Height of the best match at any shift: talkers begin anywhere."""
        match = np.fft.irfft(np.fft.rfft(crowd) * np.conj(np.fft.rfft(talker)))
        return float(match.max() / np.linalg.norm(talker) / np.linalg.norm(crowd))

    assert share(loud) == pytest.approx(share(faint), rel=0.3)
    assert share(faint) > 0.5


def test_what_has_no_snr_is_refused() -> None:
    hiss = noise.white(8000, np.random.default_rng(0))
    talk = speech(1, seconds=0.5, loudness=0.1, pauses=False)
    for speech_part, noise_part, snr_db, words in (
        (np.zeros(8000), hiss, 10.0, "digital silence"),
        (np.zeros(0), np.zeros(0), 10.0, "digital silence"),
        (talk, np.zeros(8000), 10.0, "silent where there is speech"),
        (talk, hiss, 61.0, "outside -20 to 60"),
        (talk, hiss, math.nan, "outside -20 to 60"),
    ):
        with pytest.raises(ValueError, match=words):
            noise.mix(speech_part, noise_part, snr_db=snr_db, sample_rate_hz=RATE_HZ)
    with pytest.raises(ValueError, match="at least one talker"):
        noise.babble(10, np.random.default_rng(0), [], sample_rate_hz=RATE_HZ)
    with pytest.raises(ValueError, match="a talker of the babble is silent"):
        noise.babble(10, np.random.default_rng(0), [np.zeros(8000)], sample_rate_hz=RATE_HZ)
