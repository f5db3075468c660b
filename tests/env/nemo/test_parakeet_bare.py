"""What the engine is measured against does the same work: the bare calls find the tokens that the engine finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.bare.parakeet import RATE_HZ, Bare, Loop, cut
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.parakeet.model_load import open_transcriber
from servers.parakeet.settings import Settings

SAMPLES = Path(__file__).resolve().parents[3] / "samples" / "audio" / "turns"


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(Settings, ["--model=tiny", "--device=cpu", "--threads=1", "--batch-size=4"])


@pytest.fixture(scope="module")
def clips() -> list[Audio]:
    found = sorted(SAMPLES.glob("turn-complete-tiny-*.flac"))[:6]
    return [soundfile.read(path, dtype="float32")[0] for path in found]


@pytest.fixture(scope="module")
def bare(settings: Settings) -> Bare:
    return Bare(settings)


@pytest.mark.slow
def test_a_bare_batch_finds_the_tokens_of_the_engine(settings: Settings, bare: Bare, clips: list[Audio]) -> None:
    engine = open_transcriber(settings)
    found = bare.call(clips)
    assert found == [[token.number for token in row] for row in engine.search(clips)]
    assert all(found)


def test_a_round_counts_the_audio_and_not_what_pads_it(bare: Bare, clips: list[Audio]) -> None:
    found = Loop(bare, clips, longest_s=30).measure(3, seconds=0.05)
    assert found["items"] == 3 * len(found["call_ms"]) and found["unit"] == " audio s/s"
    shortest, longest = min(map(len, clips)) / RATE_HZ, max(map(len, clips)) / RATE_HZ
    assert shortest <= found["worth"] <= longest


@pytest.mark.parametrize(("seconds", "pieces"), [(0.5, 1), (30, 1), (31, 2), (95, 4)])
def test_long_clips_are_cut_evenly_and_wholly(seconds: float, pieces: int) -> None:
    clip = np.arange(round(seconds * RATE_HZ), dtype=np.float32)
    found = cut(clip, longest_s=30)
    assert len(found) == pieces and np.array_equal(np.concatenate(found), clip)
    assert max(map(len, found)) <= 30 * RATE_HZ and max(map(len, found)) - min(map(len, found)) <= 1
