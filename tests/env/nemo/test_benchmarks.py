"""What the engine is measured against does the same work: the plain server's streams, and the bare modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from benchmarks.bare.fastconformer import Bare, Loop
from benchmarks.peers.plain_fastconformer import Model, Stream
from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.fastconformer.heard import Transcript
from servers.fastconformer.model_load import open_recognizer
from servers.fastconformer.settings import Settings

SAMPLES = Path(__file__).resolve().parents[3] / "samples" / "audio" / "turns"


@pytest.fixture(scope="module")
def clips() -> list[Audio]:
    found = sorted(SAMPLES.glob("turn-complete-tiny-*.flac"))[:6]
    return [soundfile.read(path, dtype="float32")[0] for path in found]


def settings_of(*flags: str) -> Settings:
    return load(Settings, ["--model=tiny", "--device=cpu", "--max-batch=4", *flags])


def text_of_ours(settings: Settings, clip: Audio) -> str:
    engine, transcript, at = open_recognizer(settings), Transcript(), 0
    while at <= len(clip):
        wanted = engine.samples_wanted(first=at == 0)
        piece = clip[at : at + wanted]
        transcript.add(engine.step([Frame(0, piece, first=at == 0, last=len(piece) < wanted)])[0])
        at += wanted
    return transcript.text


@pytest.mark.parametrize("look_ahead_ms", [80, pytest.param(1040, marks=pytest.mark.soak)])
def test_the_plain_server_hears_what_ours_hears(look_ahead_ms: int, clips: list[Audio]) -> None:
    settings = settings_of(f"--look-ahead-ms={look_ahead_ms}")
    with torch.inference_mode():
        texts, model = [], Model(settings)
        for clip in clips:
            stream, said = Stream(model), ""
            for piece in [*np.array_split(clip, 7), np.zeros(0, np.float32)]:
                said = stream.hear(piece, last=not len(piece)) or said
            texts.append(said)

    assert texts == [text_of_ours(settings, clip) for clip in clips]
    assert any(texts)


@pytest.mark.parametrize("decoder", ["rnnt", "ctc"])
def test_rows_of_the_bare_model_are_streams_that_go_on(decoder: str, clips: list[Audio]) -> None:
    bare = Bare(settings_of(f"--decoder={decoder}"))
    audio = np.resize(clips[0], 20 * bare.chunk_samples).reshape(20, bare.chunk_samples)
    two, one = bare.stepper(2), bare.stepper(1)

    together = [two(np.stack([chunk, np.zeros_like(chunk)])) for chunk in audio]
    alone = [one(chunk[None]) for chunk in audio]

    assert [rows[0] for rows in together] == [rows[0] for rows in alone]
    assert sum(len(rows[0]) for rows in together) > sum(len(rows[1]) for rows in together)


def test_a_round_counts_chunks_and_says_what_they_are_worth(clips: list[Audio]) -> None:
    found = Loop(Bare(settings_of("--look-ahead-ms=480")), clips).measure(3, seconds=0.05)

    assert found["items"] == 3 * len(found["call_ms"])
    assert (found["batch_size"], found["worth"], found["unit"]) == (3, 0.56, " audio s/s")
