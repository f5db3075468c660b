"""The whole backend against Pipecat's own analyzer: the same probability, whatever batch a clip is in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from servers.common.interfaces import Audio
from servers.smart_turn import model_v3, weights
from servers.smart_turn.features import MAX_SECS, N_FRAMES, N_MELS, SAMPLE_RATE_HZ, Features, LogMel
from servers.smart_turn.model_v3 import SmartTurnV3
from tests import real_speech

CLIPS = 200
TOLERANCE = 1e-7
SPOKEN = sorted((Path(__file__).resolve().parents[3] / "samples" / "audio" / "turns").glob("*.flac"))[::3]
pytestmark = pytest.mark.slow


def synthesise(seed: int, seconds: float) -> Audio:
    """Something like speech: syllables of a gliding voiced tone with harmonics, breath noise, pauses."""
    rng = np.random.default_rng(seed)
    count = max(1, int(seconds * SAMPLE_RATE_HZ))
    time_s = np.arange(count) / SAMPLE_RATE_HZ
    pitch_hz = rng.uniform(80, 250) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.2, 2) * time_s))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k ** rng.uniform(0.5, 1.5) for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(1, 6) * time_s + rng.uniform(0, 6)) + 0.3, 0, 1)
    breath = rng.standard_normal(count) * rng.choice([0.0, 1e-4, 1e-2])
    loudness = 10 ** rng.uniform(-3, -0.7)
    pcm = np.clip(np.rint((loudness * voice * syllables + breath) * 32_768), -32_768, 32_767)
    samples: Audio = (pcm / 32_768).astype(np.float32)
    return samples


def recorded(paths: Sequence[Path]) -> list[Audio]:
    """The first 20 s of each file, mono, at 16 kHz."""
    clips = []
    for path in paths:
        samples, rate_hz = soundfile.read(path, dtype="float32", frames=20 * 48_000)
        mono = samples if samples.ndim == 1 else samples[:, 0]
        clips.append(soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)[: 20 * SAMPLE_RATE_HZ].astype(np.float32))
    return clips


@pytest.fixture(scope="module")
def clips() -> list[Audio]:
    lengths_s = np.random.default_rng(11).permutation(np.geomspace(0.2, 20, CLIPS))
    return [synthesise(seed, float(length_s)) for seed, length_s in enumerate(lengths_s)] + recorded(SPOKEN)


def of_pipecat(clips: Sequence[Audio]) -> list[float]:
    """What Pipecat's own analyzer says of each clip."""
    from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

    analyzer: Any = LocalSmartTurnAnalyzerV3(sample_rate=SAMPLE_RATE_HZ, cpu_count=1)
    return [float(analyzer._predict_endpoint(clip)["probability"]) for clip in clips]


@pytest.fixture(scope="module")
def reference(clips: list[Audio]) -> list[float]:
    return of_pipecat(clips)


def predict_in_batches(detector: SmartTurnV3, clips: Sequence[Audio], sizes: Sequence[int]) -> list[float]:
    """All clips, in batches whose sizes repeat `sizes`."""
    found: list[float] = []
    turn = 0
    while len(found) < len(clips):
        found += detector.predict(clips[len(found) : len(found) + sizes[turn % len(sizes)]])
        turn += 1
    return found


def worst(found: Sequence[float], reference: Sequence[float]) -> float:
    assert len(found) == len(reference)
    return max(abs(one - other) for one, other in zip(found, reference, strict=True))


@pytest.fixture(scope="module")
def detector() -> SmartTurnV3:
    return SmartTurnV3(weights.locate("v3-onnx"))


def test_any_batch_gives_the_reference_s_probabilities(
    detector: SmartTurnV3, clips: list[Audio], reference: list[float]
) -> None:
    assert min(reference) < 0.1
    assert max(reference) > 0.9

    assert worst(predict_in_batches(detector, clips, [6, 1, 4, 2, 3]), reference) <= TOLERANCE


def test_real_speech_gets_the_reference_s_probabilities(detector: SmartTurnV3) -> None:
    clips = recorded(real_speech.clips()[:60])

    assert worst(predict_in_batches(detector, clips, [5, 2]), of_pipecat(clips)) <= TOLERANCE


def test_the_neighbours_in_a_batch_do_not_matter(
    detector: SmartTurnV3, clips: list[Audio], reference: list[float]
) -> None:
    order = np.random.default_rng(5).permutation(len(clips))[:42]

    found = predict_in_batches(detector, [clips[at] for at in order], [6])

    assert worst(found, [reference[at] for at in order]) <= TOLERANCE


class Float32LogMel(LogMel):
    """The tempting variant: the same features, computed in float32 from end to end."""

    def __call__(self, clip: Audio, out: Features) -> None:
        padded = np.zeros(MAX_SECS * SAMPLE_RATE_HZ, np.float32)
        kept = clip[-padded.size :]
        padded[padded.size - kept.size :] = kept
        samples = np.pad((padded - padded.mean()) / np.sqrt(padded.var() + 1e-7), 200, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float32), 400)[::160][:N_FRAMES]
        power = np.abs(np.fft.rfft(frames * self._window.astype(np.float32))).astype(np.float32) ** 2
        mel = np.log10(np.maximum(self._filters.T.astype(np.float32) @ power.T, np.float32(1e-10)))
        assert mel.shape == (N_MELS, N_FRAMES)
        out[:] = (np.maximum(mel, mel.max() - 8) + 4) / 4


def test_features_in_float32_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch, clips: list[Audio], reference: list[float]
) -> None:
    monkeypatch.setattr(model_v3, "LogMel", Float32LogMel)
    variant = SmartTurnV3(weights.locate("v3-onnx"))

    assert worst(predict_in_batches(variant, clips[:40], [4]), reference[:40]) > 1000 * TOLERANCE


def test_padding_behind_the_speech_would_be_noticed(
    detector: SmartTurnV3, clips: list[Audio], reference: list[float]
) -> None:
    behind = [np.pad(clip, (0, max(0, MAX_SECS * SAMPLE_RATE_HZ - clip.size))) for clip in clips[:40]]

    assert worst(predict_in_batches(detector, behind, [4]), reference[:40]) > 0.1
