"""Frames made chunk by chunk are those that NeMo makes of the whole stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from servers.common.errors import StartupRefused
from servers.fastconformer.model_mel import Mel
from tests.env.nemo.reference import mel_of
from tests.env.nemo.streams import made_up_audio


@pytest.mark.parametrize("chunk_frames", [8, 16, 56, 112])
@pytest.mark.parametrize("samples", [16_000, 16_001, 16_159, 16_160, 16_255, 16_256, 20_383, 16_199, 16_200])
def test_chunks_are_the_whole(small_model: Any, chunk_frames: int, samples: int) -> None:
    audio = made_up_audio(samples, seed=samples)
    mel = Mel(small_model.preprocessor.featurizer, chunk_frames=chunk_frames, device=torch.device("cpu"))
    kept, parts, position = np.zeros(mel.width, np.float32), [], 0
    while position < samples:
        first = position == 0
        new = audio[position : position + mel.samples_wanted(first=first)]
        is_whole = len(new) == mel.samples_wanted(first=first)
        start = mel.width - mel.samples_wanted(first=first)
        window = np.concatenate([kept[-start:], new, np.zeros(mel.width - start - len(new), np.float32)])
        frames = mel.compute(window[None], [start + len(new)])[0]
        whole = chunk_frames - 7 if first else chunk_frames
        count = whole if is_whole else mel.frames_at_end(len(new), first=first)
        parts.append(frames[:, chunk_frames - whole :][:, :count])
        kept, position = window, position + len(new)
    told, (reference, length) = torch.cat(parts, dim=1), mel_of(small_model, audio)

    assert told.shape[1] == int(length)
    assert (told - reference[0, :, : int(length)]).abs().max() < 1e-4


def test_a_window_of_half_the_samples_is_short_of_frames(small_model: Any) -> None:
    """What the engine asks for is what the last frame needs: with a sample less that frame changes."""
    mel = Mel(small_model.preprocessor.featurizer, chunk_frames=16, device=torch.device("cpu"))
    audio = made_up_audio(mel.width, seed=1)[None]
    less = audio.copy()
    less[0, -2:] = 0.5

    same = (mel.compute(audio, [mel.width]) == mel.compute(less, [mel.width])).all(dim=1)[0]
    assert same.tolist() == [True] * 15 + [False]


def test_features_of_the_whole_utterance_are_refused(small_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    featurizer = small_model.preprocessor.featurizer
    monkeypatch.setattr(featurizer, "normalize", "per_feature")

    with pytest.raises(StartupRefused, match="per_feature"):
        Mel(featurizer, chunk_frames=16, device=torch.device("cpu"))
