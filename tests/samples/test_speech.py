"""Speaking: bit-identical again and again, whatever came before; word times in order; clear errors."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from samples import encoding, flite, plan
from samples.errors import EngineMissing, SynthesisError
from samples.manifest import Clip, Kind, Label
from samples.pool import paragraphs, sentences
from samples.speech import speak
from samples.synthesize import make
from samples.voices import Voice, variants

pytestmark = pytest.mark.slow  # real processes

TEXT = "Well, I'd like to book a table for two, please. Can you hear me?"


@pytest.mark.usefixtures("flite")
@pytest.mark.parametrize("name", ["slt", "rms-p0.90", "awb-r1.10", "kal16-p1.12-r0.90"])
def test_speech_does_not_depend_on_what_was_spoken_before(name: str) -> None:
    first, rate_hz, words = speak(TEXT, Voice.parse(name))
    speak("Something else.", Voice("slt", 1.2, 1.3), seed=5)
    again, _, words_again = speak(TEXT, Voice.parse(name))
    assert rate_hz == 16000
    assert first.dtype == np.float32
    assert first.ndim == 1
    assert np.array_equal(first, again)
    assert words == words_again


@pytest.mark.usefixtures("flite")
def test_seed_varies_a_little_and_repeats() -> None:
    plain, seeded, other = (len(speak(TEXT, Voice("slt"), seed=seed)[0]) for seed in (0, 1, 2))
    assert len({plain, seeded, other}) == 3
    assert abs(seeded / plain - 1) < 0.1
    assert np.array_equal(speak(TEXT, Voice("slt"), seed=1)[0], speak(TEXT, Voice("slt"), seed=1)[0])


@pytest.mark.usefixtures("flite")
def test_rate_and_pitch_move_the_right_way() -> None:
    slow, plain, fast = (len(speak(TEXT, Voice("rms", rate=rate))[0]) for rate in (0.8, 1.0, 1.25))
    assert slow / plain == pytest.approx(1.25, abs=0.05)
    assert fast / plain == pytest.approx(0.8, abs=0.05)
    low, high = (mean_f0_hz(*speak(TEXT, Voice("slt", pitch=pitch))[:2]) for pitch in (0.8, 1.2))
    assert high / low == pytest.approx(1.5, abs=0.15)


def mean_f0_hz(samples: np.typing.NDArray[np.float32], sample_rate_hz: int) -> float:
    """Median over loud 40 ms frames of the strongest autocorrelation lag between 80 and 320 Hz."""
    frames = samples[: len(samples) // 640 * 640].reshape(-1, 640).astype(np.float64)
    loud = frames[(frames**2).mean(axis=1) > 0.3 * (frames**2).mean(axis=1).max()]
    lags = [np.argmax(np.correlate(f, f, "full")[639:][50:200]) + 50 for f in loud]
    return sample_rate_hz / float(np.median(lags))


@pytest.mark.usefixtures("flite")
def test_samples_are_those_of_the_program(tmp_path: Path) -> None:
    if shutil.which("flite") is None:
        pytest.skip("needs flite")
    for speaker in flite.MEAN_F0_HZ:
        file = tmp_path / f"{speaker}.wav"
        options = ["--setf", f"int_f0_target_mean={flite.MEAN_F0_HZ[speaker]}"]
        subprocess.run(["flite", "-voice", speaker, *options, "-t", TEXT, "-o", str(file)], check=True)
        assert np.array_equal(soundfile.read(file, dtype="float32")[0], speak(TEXT, Voice(speaker))[0])


@pytest.mark.usefixtures("flite")
@pytest.mark.parametrize("voice", variants("en")[::5], ids=lambda voice: voice.name)
def test_words_follow_each_other_within_the_sound(voice: Voice) -> None:
    for text in (*sentences(language="en")[::40], *paragraphs(language="en")[::20]):
        samples, rate_hz, words = speak(text.text, voice)
        edges = [edge for word in words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges)
        assert all(word.start_s < word.end_s for word in words)
        assert edges[-1] <= len(samples) / rate_hz
        assert len(words) == len(text.text.split())


@pytest.mark.usefixtures("espeak")
def test_french_is_spoken_the_same_again_with_words_in_order() -> None:
    text = sentences(language="fr")[0].text
    first, rate_hz, words = speak(text, Voice("fr", pitch=1.1))
    assert np.array_equal(first, speak(text, Voice("fr", pitch=1.1))[0])
    assert [word.word for word in words] == [part.strip(",.") for part in text.split()]
    assert all(a.end_s <= b.start_s for a, b in pairwise(words))
    assert 1.0 < words[-1].end_s <= len(first) / rate_hz


@pytest.mark.usefixtures("flite")
@pytest.mark.parametrize("label", Label)
def test_committed_turn_is_made_again(label: Label, clips: list[Clip], audio: Path, tmp_path: Path) -> None:
    planned = next(plan.turns(label))
    made = make(planned)
    assert made is not None
    assert made.clip == next(clip for clip in clips if clip.id == planned.id)
    encoding.write(tmp_path / "again.flac", made.turn.samples)
    again, committed = (soundfile.read(path)[0] for path in (tmp_path / "again.flac", audio / made.clip.file))
    assert np.abs(again - committed).max() < 1e-3  # 0 with the same build of flite


@pytest.mark.usefixtures("espeak")
def test_committed_french_clip_is_made_again(clips: list[Clip]) -> None:
    planned = next(p for p in plan.references() if p.kind is Kind.EXTRA)
    made = make(planned)
    assert made is not None
    assert made.clip == next(clip for clip in clips if clip.id == planned.id)


def test_plan_has_no_id_twice() -> None:
    planned = [*plan.turns(Label.COMPLETE), *plan.turns(Label.CUT), *plan.references()]
    assert len({p.id for p in planned}) == len(planned)


@pytest.mark.usefixtures("flite")
@pytest.mark.parametrize(("text", "says"), [("Come (now) please.", "read as"), ("It is five - or six.", "no time for")])
def test_text_with_words_that_are_not_plain_is_refused(text: str, says: str) -> None:
    with pytest.raises(SynthesisError, match=f"flite: {says}"):
        speak(text, Voice("slt"))


@pytest.mark.usefixtures("flite")
def test_missing_speaker_names_the_remedy() -> None:
    with pytest.raises(EngineMissing, match=r"flite is not installed \(.*nobody.*apt-get install flite"):
        flite.speak("Hello.", speaker="nobody", pitch=1.0, rate=1.0)
