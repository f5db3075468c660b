"""The hand-made first layers of the tiny Mimi: bands that do not care for the phase."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from servers.kyutai.tiny.filters import BANDS, CHANNELS, PHASES, TAPS, band_filters, bank, delays

RATE_HZ = 24_000


def heard(hertz: float, phase: float) -> NDArray[np.float64]:
    """What each band makes of a tone: the positive parts of its filters added up, (BANDS,)."""
    tone = np.cos(2 * np.pi * hertz * np.arange(TAPS) / RATE_HZ + phase)
    answers = np.maximum(band_filters()[: BANDS * PHASES] @ tone, 0)
    return np.asarray(answers.reshape(BANDS, PHASES).sum(1))


def test_shapes_are_those_of_the_network() -> None:
    assert [kernel.shape for kernel in delays()] == [(8, 1, 7), (16, 8, 10), (32, 16, 6)]
    assert band_filters().shape == (8 * CHANNELS, TAPS)
    assert bank(band_filters()).shape == (64, 32, 16)


@pytest.mark.parametrize("hertz", [200.0, 500.0, 1000.0, 2500.0, 5000.0])
def test_a_tone_sounds_alike_whenever_it_begins(hertz: float) -> None:
    answers = np.array([heard(hertz, phase) for phase in np.linspace(0, 2 * np.pi, 24)])

    loudest = answers.mean(0).argmax()
    assert np.ptp(answers[:, loudest]) < 0.2 * answers[:, loudest].mean()


def test_higher_tones_are_heard_by_higher_bands() -> None:
    loudest = [int(heard(hertz, 0).argmax()) for hertz in (200.0, 500.0, 1000.0, 2500.0, 5000.0)]

    assert loudest == sorted(set(loudest))


def test_no_band_hears_a_constant() -> None:
    assert np.abs(band_filters().sum(1)).max() < 1e-4


def test_every_sample_has_its_place_in_the_bank() -> None:
    kernel = bank(np.arange(1, TAPS + 1, dtype=np.float32)[None].repeat(64, 0))

    assert np.count_nonzero(kernel[0]) == TAPS
