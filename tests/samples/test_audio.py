"""The committed audio is what its manifest says, and a turn's label shows in nothing but the speech."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

import samples
from samples.encoding import SAMPLE_RATE_HZ, SUFFIXES
from samples.manifest import Clip, Kind, Label, load
from samples.pool import paragraphs, sentences, spoken_words
from samples.sound import Samples, active_rms, speech_end_s
from samples.turns import EARLIEST_CUT_S, TAIL_S, UNFINISHED

AUDIO = Path(samples.__file__).with_name("audio")
CLIPS = load(AUDIO / "manifest.jsonl")
TURNS = {label: [clip for clip in CLIPS if clip.label is label] for label in Label}
POOL = {text.id: text for text in (*sentences(), *paragraphs())}

every_clip = pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.id)


@cache
def heard(file: str) -> Samples:
    decoded, sample_rate_hz = soundfile.read(AUDIO / file, dtype="float32")
    assert sample_rate_hz == SAMPLE_RATE_HZ
    assert decoded.ndim == 1
    return np.asarray(decoded, np.float32)


def level_db(clip: Clip, start_s: float, end_s: float) -> float:
    """Level of a stretch against the clip's speech."""
    stretch = heard(clip.file)[max(0, round(start_s * SAMPLE_RATE_HZ)) : round(end_s * SAMPLE_RATE_HZ)]
    speech = active_rms(heard(clip.file), sample_rate_hz=SAMPLE_RATE_HZ)
    return float(20 * np.log10(np.sqrt((stretch.astype(np.float64) ** 2).mean()) / speech))


@every_clip
def test_file_is_as_described(clip: Clip) -> None:
    decoded = heard(clip.file)
    assert len(decoded) / SAMPLE_RATE_HZ == pytest.approx(clip.duration_s, abs=1e-6)
    assert np.isfinite(decoded).all()
    assert np.abs(decoded).max() < 1.0
    assert 0.02 < active_rms(decoded, sample_rate_hz=SAMPLE_RATE_HZ) < 0.2


@every_clip
def test_words_are_those_of_the_text(clip: Clip) -> None:
    assert [word.word.lower() for word in clip.words] == spoken_words(clip.text)


@every_clip
def test_sound_ends_where_speech_ends(clip: Clip) -> None:
    if clip.id == "short-noisy":
        assert level_db(clip, clip.speech_end_s + 0.02, clip.duration_s) > -25
        return
    assert speech_end_s(heard(clip.file), sample_rate_hz=SAMPLE_RATE_HZ) == pytest.approx(clip.speech_end_s, abs=0.05)
    assert clip.duration_s - clip.speech_end_s == pytest.approx(TAIL_S, abs=0.01)
    assert clip.words[-1].end_s == pytest.approx(clip.speech_end_s, abs=0.15)


@every_clip
def test_every_word_sounds_and_every_pause_is_quiet(clip: Clip) -> None:
    margin_s = clip.word_error_s or 0.0
    weak = [word for word in clip.words if level_db(clip, word.start_s - margin_s, word.end_s + margin_s) < -20]
    assert weak == []
    if clip.id == "short-noisy":
        return
    for word, after in pairwise(clip.words):
        middle_s = (word.end_s + after.start_s) / 2
        if after.start_s - word.end_s > 0.15:
            assert level_db(clip, middle_s - 0.02, middle_s + 0.02) < -18


def test_pauses_lie_within_the_stated_error() -> None:
    """Beside a pause a boundary shows in the energy: moved inwards by the stated error, nine of ten are quiet."""
    loud = []
    for clip in CLIPS:
        error_s = clip.word_error_s or 0.0
        for word, after in pairwise(clip.words):
            begins_s, ends_s = word.end_s + error_s, after.start_s - error_s
            if ends_s - begins_s > 0.05 and clip.id != "short-noisy":
                loud += [level_db(clip, at_s, at_s + 0.01) > -20 for at_s in (begins_s, ends_s - 0.01)]
    assert len(loud) > 200
    assert np.mean(loud) < 0.1


def test_labels_are_balanced() -> None:
    assert len(TURNS[Label.COMPLETE]) == len(TURNS[Label.CUT]) >= 48
    voices = {label: Counter(clip.voice.split("-")[0] for clip in clips) for label, clips in TURNS.items()}
    assert set(voices[Label.COMPLETE]) == set(voices[Label.CUT])
    assert all(abs(voices[Label.COMPLETE][name] - voices[Label.CUT][name]) <= 3 for name in voices[Label.CUT])
    held_out = [sum(clip.split == "held_out" for clip in clips) for clips in TURNS.values()]
    assert min(held_out) >= 10


def test_tail_does_not_give_the_label_away() -> None:
    tails = {label: [level_db(c, c.duration_s - 0.19, c.duration_s) for c in clips] for label, clips in TURNS.items()}
    assert np.median(tails[Label.COMPLETE]) == pytest.approx(np.median(tails[Label.CUT]), abs=1.0)
    assert max(map(max, tails.values())) < -35


def test_length_hardly_gives_the_label_away() -> None:
    complete, cut = (np.array([clip.duration_s for clip in clips]) for clips in TURNS.values())
    assert 0.3 < float(np.mean(complete[:, None] > cut)) < 0.7


@pytest.mark.parametrize("clip", TURNS[Label.CUT], ids=lambda clip: clip.id)
def test_cut_turn_is_plainly_unfinished(clip: Clip) -> None:
    whole = POOL[clip.id.removeprefix("turn-cut-").split("-" + clip.voice)[0]].text
    assert whole.startswith(clip.text + " ")
    assert clip.words[-1].word.lower() in UNFINISHED
    assert clip.text[-1].isalpha()
    assert clip.words[-1].end_s == clip.speech_end_s >= EARLIEST_CUT_S


def test_complete_turns_and_references_are_whole_texts_with_their_split() -> None:
    split_of = {text.text: text.split for text in POOL.values()}
    whole = [clip for clip in CLIPS if clip.label is not Label.CUT and clip.id != "long"]
    assert [clip.id for clip in whole if split_of.get(clip.text) != clip.split] == []


def test_fixed_extras() -> None:
    by_file = {clip.file: clip for clip in CLIPS}
    assert 8 <= by_file["mid.wav"].duration_s <= 12
    assert 55 <= by_file["long.mp3"].duration_s <= 68
    assert 3 <= by_file["short-noisy.wav"].duration_s <= 10
    assert soundfile.info(AUDIO / "mid.wav").subtype == soundfile.info(AUDIO / "short-noisy.wav").subtype == "PCM_16"
    assert {clip.language for clip in CLIPS if clip.kind is Kind.PARAGRAPH} == {"en", "fr"}


def test_folder_is_complete_and_small() -> None:
    there = {path.relative_to(AUDIO).as_posix() for path in AUDIO.rglob("*") if path.suffix in SUFFIXES}
    assert there == {clip.file for clip in CLIPS}
    assert sum(path.stat().st_size for path in AUDIO.rglob("*") if path.is_file()) <= 8_000_000
    assert len(CLIPS) >= 160
