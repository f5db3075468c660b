"""All windows at once are what the package's own stepwise detector says of each, however the stream is cut."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch

from servers.common.audio import pcm16_to_float
from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio
from servers.parakeet import vad
from servers.parakeet.interfaces import WINDOW_SAMPLES, Probabilities
from servers.parakeet.vad import MOST_WINDOWS, Silero
from tests.env.nemo.clips import pcm_of, sentence_clips


@pytest.fixture(scope="module")
def silero() -> Silero:
    return Silero()


@pytest.fixture(scope="module")
def stream() -> Audio:
    """Sentences, silence and noise: 15 s in whole windows."""
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal(32_000) * 0.1).astype(np.float32)
    sentences = [pcm16_to_float(pcm_of(clip)) for clip in sentence_clips()[:5]]
    joined = np.concatenate([*sentences[:3], np.zeros(16_000, np.float32), noise, *sentences[3:]])
    return joined[: len(joined) // WINDOW_SAMPLES * WINDOW_SAMPLES]


@pytest.fixture(scope="module")
def expected(stream: Audio) -> Probabilities:
    """By the package, one window after the other."""
    package: Any = importlib.import_module("silero_vad.utils_vad")
    stepwise = package.OnnxWrapper(str(vad.locate().with_name("silero_vad.onnx")), force_onnx_cpu=True)
    windows = torch.from_numpy(stream).split(WINDOW_SAMPLES)
    return np.array([float(stepwise(window, 16_000)) for window in windows], np.float32)


def heard(silero: Silero, stream: Audio, sizes: list[int]) -> Probabilities:
    """In calls of so many windows, in turn."""
    state, found, at = silero.start(), list[Probabilities](), 0
    while at < len(stream):
        samples = sizes[len(found) % len(sizes)] * WINDOW_SAMPLES
        state, probabilities = silero.hear(state, stream[at : at + samples])
        found.append(probabilities)
        at += samples
    return np.concatenate(found)


def test_there_is_speech_and_none_in_it(expected: Probabilities) -> None:
    assert expected.max() > 0.9 and expected.min() < 0.1


def test_the_whole_stream_at_once(silero: Silero, stream: Audio, expected: Probabilities) -> None:
    assert np.allclose(heard(silero, stream, [len(stream)]), expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_any_split_into_calls(silero: Silero, stream: Audio, expected: Probabilities, seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, 2 + 10 * seed, 50).tolist()
    assert np.allclose(heard(silero, stream, sizes), expected, atol=1e-5)


def test_more_windows_than_one_call_of_the_network_takes(silero: Silero, stream: Audio) -> None:
    long = np.resize(stream, (MOST_WINDOWS + 40) * WINDOW_SAMPLES).astype(np.float32)
    assert np.allclose(heard(silero, long, [len(long)]), heard(silero, long, [100]), atol=1e-5)


def test_streams_do_not_hear_one_another(silero: Silero, stream: Audio, expected: Probabilities) -> None:
    state, other, found = silero.start(), silero.start(), []
    for window in stream.reshape(-1, WINDOW_SAMPLES):
        other, _ = silero.hear(other, window[::-1].copy())
        state, probability = silero.hear(state, window)
        found.append(probability)
    assert np.allclose(np.concatenate(found), expected, atol=1e-5)


def test_a_call_that_failed_can_be_made_again(silero: Silero, stream: Audio) -> None:
    state, _ = silero.hear(silero.start(), stream[: 20 * WINDOW_SAMPLES])
    window = stream[20 * WINDOW_SAMPLES : 21 * WINDOW_SAMPLES]
    assert np.array_equal(silero.hear(state, window)[1], silero.hear(state, window)[1])


@pytest.mark.parametrize(
    "samples", [np.zeros(511, np.float32), np.zeros(512), np.zeros((1, 512), np.float32)], ids=["part", "double", "2d"]
)
def test_what_is_no_whole_window_is_refused(silero: Silero, samples: Any) -> None:
    with pytest.raises(ValueError, match="whole windows"):
        silero.hear(silero.start(), samples)


def test_nothing_heard_changes_nothing(silero: Silero) -> None:
    state = silero.start()
    after, probabilities = silero.hear(state, np.zeros(0, np.float32))
    assert after is state and probabilities.shape == (0,)


def test_a_package_without_the_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StartupRefused, match="silero_vad_16k_sequence"):
        Silero()
