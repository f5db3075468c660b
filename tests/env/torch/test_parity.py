"""v2 against its reference: the same probability at any length, in any batch, whatever is padded how far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from servers.common.interfaces import Audio
from servers.smart_turn import model_v2
from servers.smart_turn.lengths import FULL_SAMPLES, Lengths
from servers.smart_turn.model_v2 import SmartTurnV2
from servers.smart_turn.model_v2_load import fold_weight_norm, load_network
from servers.smart_turn.model_v2_network import Endpointing, Shape
from tests.env.torch.reference import PUBLISHED, Reference, speech

CPU = torch.device("cpu")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""At the small size, whose few channels average no rounding away, bfloat16 is held against the reference's own."""

LENGTHS_S = (0.03, 0.1, 0.3, 0.403125, 1.0, 1.999, 2.0, 2.2, 3.7, 4.0, 7.5, 8.0, 11.0, 13.3, 15.5, 15.99, 16.0)
MIXED_S = ((1.3, 4.0, 2.2), (0.2, 16.0, 8.0, 3.0), (0.02, 1.0), (5.0, 5.0, 5.0, 5.0, 0.5))


def detector(checkpoint: Path, dtype: torch.dtype = torch.float32, **options: Any) -> SmartTurnV2:
    return SmartTurnV2(load_network(checkpoint), device=CPU, dtype=dtype, **options)


def furthest(found: SmartTurnV2, reference: Reference, batches: list[list[Audio]]) -> float:
    """The largest difference of any probability from the reference's."""
    differences = []
    for batch in batches:
        expected = [reference.ask(clip) for clip in batch]
        differences.append(np.abs(np.subtract(found.predict(batch), expected)).max())
    return float(max(differences))


def singles() -> list[list[Audio]]:
    return [[speech(seed, length_s)] for seed, length_s in enumerate(LENGTHS_S)]


def mixtures() -> list[list[Audio]]:
    return [[speech(seed, length_s) for seed, length_s in enumerate(lengths_s)] for lengths_s in MIXED_S]


def test_the_reference_s_answers_depend_on_the_audio(small: Reference) -> None:
    answers = [small.ask(clip) for (clip,) in singles()]

    assert max(answers) - min(answers) > 0.1


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_clips_of_any_length(dtype: torch.dtype, checkpoint: Path, small: Reference) -> None:
    assert furthest(detector(checkpoint, dtype), small.rounded(dtype), singles()) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("fixed", [True, False])
def test_batches_of_mixed_lengths(
    dtype: torch.dtype, split: bool, fixed: bool, checkpoint: Path, small: Reference
) -> None:
    options: dict[str, Any] = {"split_lengths": split, "batch_buckets": (1, 2, 4, 6)}
    if fixed:  # padded to the shapes of a compiler, which has not made one yet
        options["compile_run"] = lambda shape: pytest.fail("not started")

    assert furthest(detector(checkpoint, dtype, **options), small.rounded(dtype), mixtures()) <= TOLERANCE[dtype]


@pytest.mark.parametrize("samples", [1, 9, 10, 399, 400, 401, 719, 720, 6_450])
def test_clips_of_hardly_a_frame(samples: int, checkpoint: Path, small: Reference) -> None:
    clip = speech(3, 1)[:samples]

    assert furthest(detector(checkpoint), small, [[clip], [clip, speech(1, 2.0)]]) <= 1e-5


def test_a_digital_silence(checkpoint: Path, small: Reference) -> None:
    assert furthest(detector(checkpoint), small, [[np.zeros(20_000, np.float32)]]) <= 1e-5


def test_only_the_last_seconds_count(checkpoint: Path, small: Reference) -> None:
    clip = speech(4, 20.0)

    assert detector(checkpoint).predict([clip])[0] == pytest.approx(small.ask(clip[-FULL_SAMPLES:]), abs=1e-5)
    brief = detector(checkpoint, max_secs=2.5).predict([clip])[0]
    assert brief == pytest.approx(small.ask(clip[-40_000:]), abs=1e-5)


class AllOnes(Lengths):
    """The older servers' mask: the padding counts like audio."""

    def attended(self, samples: int) -> int:
        return self.full_frames

    def pooled(self, samples: int) -> int:
        return self.full_frames

    def needed(self, samples: int) -> int:
        return self.full_samples


@pytest.mark.parametrize("older", ["no normalisation", "all-ones mask", "both"])
def test_the_older_servers_preprocessing_fails(
    older: str, checkpoint: Path, small: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_network(checkpoint)
    if older != "no normalisation":
        network.lengths = AllOnes(PUBLISHED["conv_kernel"], PUBLISHED["conv_stride"])
    if older != "all-ones mask":
        monkeypatch.setattr(model_v2, "normalise", lambda clip: clip)
    found = SmartTurnV2(network, device=CPU, dtype=torch.float32)

    assert furthest(found, small, [*singles(), *mixtures()]) > 5 * TOLERANCE[torch.bfloat16]


def test_a_row_of_nan_harms_nobody(checkpoint: Path) -> None:
    found = detector(checkpoint, split_lengths=False)
    good = [speech(1, 2.0), speech(2, 5.0)]
    bad = np.full(30_000, np.nan, np.float32)

    first, nothing, second = found.predict([good[0], bad, good[1]])

    assert np.isnan(nothing)
    assert [first, second] == pytest.approx(found.predict(good), abs=1e-6)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_real_size(dtype: torch.dtype) -> None:
    reference = Reference(PUBLISHED)
    network = Endpointing(Shape.from_config(PUBLISHED))
    network.load_state_dict(fold_weight_norm(reference.weights()))
    found = SmartTurnV2(network, device=CPU, dtype=dtype, split_lengths=False)

    assert sum(weight.numel() for weight in reference.parameters()) == pytest.approx(94.78e6, rel=1e-4)
    assert furthest(found, reference, [[speech(1, 1.3), speech(2, 4.0), speech(3, 2.2)]]) <= TOLERANCE[dtype]
