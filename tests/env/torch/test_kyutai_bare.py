"""What the engine is measured against does the same work: the bare steps find the tokens that the engine finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks.bare.kyutai import CLIPS_HZ, STREAM_STEPS, Bare, Loop
from servers.common.interfaces import Frame
from servers.common.settings import load
from servers.kyutai.model.load import open_listener
from servers.kyutai.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ, Settings

SAMPLES = Path(__file__).resolve().parents[3] / "samples" / "audio" / "turns"
ROWS = 3


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load(Settings, ["--model=tiny", "--device=cpu", "--lm-dtype=float32", f"--seats={ROWS}"])


@pytest.fixture(scope="module")
def clips() -> list[NDArray[np.float32]]:
    found = sorted(SAMPLES.glob("turn-complete-tiny-*.flac"))[:ROWS]
    return [soundfile.read(path, dtype="float32")[0] for path in found]


@pytest.mark.slow
def test_bare_steps_find_the_tokens_of_the_engine(settings: Settings, clips: list[NDArray[np.float32]]) -> None:
    audio = [soxr.resample(clip, CLIPS_HZ, SAMPLE_RATE_HZ) for clip in clips]
    steps = min(map(len, audio)) // FRAME_SAMPLES
    frames = np.stack([clip[: steps * FRAME_SAMPLES].reshape(steps, FRAME_SAMPLES) for clip in audio], axis=1)
    step, engine = Bare(settings).stepper(ROWS), open_listener(settings)
    found, wanted = [], []
    for number, samples in enumerate(frames):
        rows = [Frame(row, samples[row], first=number == 0, last=number == steps - 1) for row in range(ROWS)]
        wanted.append([heard.token for heard in engine.step(rows)])
        found.append(step(samples))
    assert found == wanted
    assert len({token for row in found for token in row} - {0, 3}) > 5  # words, not silence


def test_a_round_counts_the_audio_of_every_row_and_begins_anew(
    settings: Settings, clips: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, begun = Bare(settings), list[int]()
    stepper = bare.stepper

    def noted(rows: int) -> Any:
        begun.append(rows)
        return stepper(rows)

    monkeypatch.setattr(bare, "stepper", noted)
    loop = Loop(bare, clips)
    found = loop.measure(2, seconds=0.05)
    while len(begun) < 2:
        loop.measure(2, seconds=0.5)
    assert found["items"] == 2 * len(found["call_ms"]) and (found["worth"], found["unit"]) == (0.08, " audio s/s")
    assert begun == [2, 2] and STREAM_STEPS == 125
