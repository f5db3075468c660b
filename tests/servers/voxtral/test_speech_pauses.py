"""Pauses found by energy: on made signals, on the committed speech, in noise; and what it costs."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from samples.manifest import Clip, Kind, load
from servers.voxtral.speech.pauses import FRAME_S, Pauses
from tests.servers.voxtral.speech_fakes import messages

AUDIO = Path(__file__).resolve().parents[3] / "samples" / "audio"
RATE_HZ = 16_000
PAUSE_S = 0.4


def tone(seconds: float, *, level_db: float, seed: int = 0) -> Any:
    """Noise at an RMS of so many dB of full scale, int16."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)) * 32768 * 10 ** (level_db / 20)
    return np.clip(samples, -32768, 32767).astype(np.int16)


def quiet_over_time(audio: Any, size: int = 1280) -> list[float]:
    """`quiet_s` after each message of so many bytes."""
    pauses, found = Pauses(), []
    for message in messages(audio.tobytes(), size):
        pauses.add(message)
        found.append(pauses.quiet_s)
    return found


@cache
def paragraphs() -> list[tuple[Clip, Any]]:
    clips = [clip for clip in load(AUDIO / "manifest.jsonl") if clip.kind is Kind.PARAGRAPH][:4]
    return [(clip, soundfile.read(AUDIO / clip.file, dtype="int16")[0]) for clip in clips]


def with_noise(audio: Any, snr_db: float | None) -> Any:
    if snr_db is None:
        return audio
    level_db = 20 * np.log10(np.sqrt(np.mean((audio / 32768.0) ** 2))) - snr_db
    noise = tone(len(audio) / RATE_HZ + 1, level_db=level_db, seed=7)[: len(audio)]
    return np.clip(audio.astype(np.int32) + noise, -32768, 32767).astype(np.int16)


@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=30), seed=st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_how_audio_is_cut_into_messages_changes_nothing(sizes: list[int], seed: int) -> None:
    audio = np.concatenate([tone(0.5, level_db=-20, seed=seed), tone(0.5, level_db=-60), tone(0.3, level_db=-20)])
    whole, cut = Pauses(), Pauses()
    whole.add(audio.tobytes())
    at = 0
    for size in [*sizes, len(audio)]:
        cut.add(audio[at : at + size].tobytes())
        at += size
    assert (cut.quiet_s, cut.loud_s) == (whole.quiet_s, whole.loud_s)


@pytest.mark.parametrize("floor_db", [-100.0, -70.0, -50.0, -40.0])
def test_a_gap_in_loud_sound_is_quiet_and_nothing_else_is(floor_db: float) -> None:
    parts = [tone(0.5, level_db=floor_db), tone(2.0, level_db=-20), tone(0.6, level_db=floor_db, seed=1)]
    quiet = quiet_over_time(np.concatenate([*parts, tone(1.0, level_db=-20)]))
    assert max(quiet[round(0.6 / FRAME_S) : round(2.5 / FRAME_S)]) == 0
    assert max(quiet) == pytest.approx(0.6, abs=2 * FRAME_S)
    assert quiet[-1] == 0


def test_soft_speech_is_no_pause() -> None:
    """A whispered word is weaker than a spoken one by some 25 dB."""
    parts = [tone(0.5, level_db=-80), tone(2.0, level_db=-20), tone(1.0, level_db=-45), tone(1.0, level_db=-80)]
    quiet = quiet_over_time(np.concatenate(parts))
    assert max(quiet[round(0.6 / FRAME_S) : round(3.5 / FRAME_S)]) == 0
    assert quiet[-1] == pytest.approx(1.0, abs=2 * FRAME_S)


@pytest.mark.parametrize("level_db", [-100.0, -60.0, -30.0, -15.0])
def test_steady_noise_is_quiet_and_never_loud(level_db: float) -> None:
    pauses = Pauses()
    pauses.add(tone(60.0, level_db=level_db).tobytes())
    assert pauses.loud_s == 0 and pauses.quiet_s == pytest.approx(60.0, abs=2 * FRAME_S)


@pytest.mark.parametrize("snr_db", [None, 20.0, 10.0])
def test_a_pause_between_paragraphs_is_found(snr_db: float | None) -> None:
    for _, audio in paragraphs():
        gap = np.zeros(round(0.8 * RATE_HZ), np.int16)
        quiet = quiet_over_time(with_noise(np.concatenate([audio, gap, audio]), snr_db))
        at = round((len(audio) / RATE_HZ + 0.8) / FRAME_S)
        assert max(quiet[at - 4 : at + 2]) >= PAUSE_S


@pytest.mark.parametrize("snr_db", [None, 20.0, 10.0])
def test_no_pause_is_seen_within_a_word(snr_db: float | None) -> None:
    for clip, audio in paragraphs():
        quiet = quiet_over_time(with_noise(audio, snr_db))
        for word in clip.words:
            inside = quiet[round((word.start_s + 0.1) / FRAME_S) : round((word.end_s - 0.1) / FRAME_S)]
            # The alignment counts a pause to the word before it: only what is short is surely all word.
            if word.end_s - word.start_s < 0.5:
                assert max(inside, default=0) < PAUSE_S, word


@pytest.mark.parametrize("snr_db", [None, 20.0, 10.0])
def test_most_of_speech_is_loud(snr_db: float | None) -> None:
    for _, audio in paragraphs():
        pauses = Pauses()
        pauses.add(with_noise(audio, snr_db).tobytes())
        assert pauses.loud_s > 0.4 * len(audio) / RATE_HZ


def test_a_frame_costs_next_to_nothing() -> None:
    audio = tone(80.0, level_db=-20).tobytes()
    pauses, started_s = Pauses(), time.process_time()
    for message in messages(audio, 2560):
        pauses.add(message)
    assert (time.process_time() - started_s) / (80.0 / FRAME_S) < 100e-6  # about 10 on an idle core
