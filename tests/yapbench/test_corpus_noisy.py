"""Noise over a corpus: the same seed the same hash, another seed another; the asked SNR in the files that are sent."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.yapbench.audio_files import write
from yapbench.corpora import noise
from yapbench.corpora.cache import SpeechCache
from yapbench.corpora.noisy import with_noise
from yapbench.corpora.opening import open_corpus
from yapbench.corpus import Corpus, Utterance, Word
from yapbench.errors import UsageError


def recordings(folder: Path, *, count: int = 5, rate_hz: int = 16_000) -> Path:
    for number in range(count):
        write(folder / f"{number}.wav", hz=150 + 40 * number, seconds=0.5 + 0.1 * number, rate_hz=rate_hz)
    return folder


def opened(folder: Path, query: str = "", *, cache: str = "cache") -> Corpus:
    return open_corpus(f"{folder}{query}", cache=SpeechCache(folder.parent / cache))


@pytest.mark.parametrize("kind", noise.NOISES)
@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
def test_the_files_that_are_sent_have_the_asked_snr(tmp_path: Path, kind: str, rate_hz: int) -> None:
    folder = recordings(tmp_path / "in", rate_hz=rate_hz)
    clean, noisy = opened(folder), opened(folder, f"?noise={kind}&snr_db=7.5")
    for before, after in zip(clean, noisy, strict=True):
        speech, mixed = before.audio(16_000).astype(float), after.audio(16_000) / float(after.facts["gain"])
        measured = noise.measured_db(speech, mixed - speech, sample_rate_hz=16_000)
        assert measured == pytest.approx(7.5, abs=0.1)
        assert after.duration_s == pytest.approx(before.duration_s, abs=1e-3)
        assert (after.id, after.text) == (before.id, before.text)


@pytest.mark.parametrize("kind", noise.NOISES)
def test_the_hash_follows_everything_that_is_heard(tmp_path: Path, kind: str) -> None:
    folder = recordings(tmp_path / "in")
    first = opened(folder, f"?noise={kind}&snr_db=5&noise_seed=1")
    assert opened(folder, f"?noise={kind}&snr_db=5&noise_seed=1", cache="elsewhere").sha256 == first.sha256
    others = [
        opened(folder),
        opened(folder, f"?noise={kind}&snr_db=5&noise_seed=2"),
        opened(folder, f"?noise={kind}&snr_db=6&noise_seed=1"),
        opened(folder, f"?noise={'white' if kind == 'pink' else 'pink'}&snr_db=5&noise_seed=1"),
    ]
    assert len({first.sha256, *(other.sha256 for other in others)}) == 5


@pytest.mark.parametrize("kind", noise.NOISES)
def test_another_seed_or_snr_is_other_audio(tmp_path: Path, kind: str) -> None:
    folder = recordings(tmp_path / "in", count=6)
    clips = [
        opened(folder, f"?noise={kind}&snr_db={snr_db}&noise_seed={seed}").utterances[0].audio(16_000)
        for snr_db, seed in ((5, 1), (5, 2), (6, 1))
    ]
    assert not any(np.allclose(one, other) for one, other in itertools.combinations(clips, 2))


def test_nobody_speaks_twice_in_their_own_babble(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in")  # tones of 150, 190, 230 ... Hz
    for before, after in zip(opened(folder), opened(folder, "?noise=babble&snr_db=0"), strict=True):
        rest = after.audio(16_000) / float(after.facts["gain"]) - before.audio(16_000)
        power = np.abs(np.fft.rfft(rest, 16_000)) ** 2  # a bin is 1 Hz
        own_hz = 150 + 40 * int(before.id)
        own = power[own_hz - 8 : own_hz + 9].sum()
        others = [power[hz - 8 : hz + 9].sum() for hz in range(150, 311, 40) if hz != own_hz]
        assert own < 0.5 * min(others)


def test_every_utterance_has_noise_of_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.wav")
    one, other = opened(tmp_path / "in", "?noise=white&snr_db=0")
    assert not np.allclose(one.audio(16_000), other.audio(16_000))


def test_what_was_done_stands_in_the_facts(tmp_path: Path) -> None:
    write(tmp_path / "in" / "loud.wav", level=0.98)
    write(tmp_path / "in" / "soft.wav", level=0.01)
    corpus = opened(tmp_path / "in", "?noise=white&snr_db=0&noise_seed=3")
    loud, soft = corpus
    assert loud.facts == {"noise": "white", "snr_db": 0.0, "noise_seed": 3, "gain": loud.facts["gain"]}
    assert float(loud.facts["gain"]) < 1 == soft.facts["gain"]
    assert corpus.source == {"noise": "white", "snr_db": 0.0, "noise_seed": 3, "turned_down": 1}
    assert corpus.name == "in, white noise at 0 dB"
    assert corpus.note == "White noise was added at an SNR of 0 dB (seed 3)."


def test_babble_comes_from_the_others_or_from_the_samples(tmp_path: Path) -> None:
    few, many = (recordings(tmp_path / name, count=count) for name, count in (("few", 2), ("many", 4)))
    query = "?noise=babble&snr_db=5"
    assert {one.facts["babble_from"] for one in opened(few, query)} == {"samples"}
    assert {one.facts["babble_from"] for one in opened(many, query)} == {"corpus"}


def test_times_and_labels_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    words = (Word("hi", 0.1, 0.3),)
    one = Utterance(id="a", duration_s=0.5, path=path, text="Hi.", words=words, speech_end_s=0.4, label="cut")
    cache = SpeechCache(tmp_path / "cache")
    (noisy,) = with_noise(Corpus.of("c", [one]), kind="pink", snr_db=10, seed=0, cache=cache)
    assert replace(noisy, path=path, duration_s=0.5, facts={}) == one


def test_samples_in_memory_are_as_good_as_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    in_file = Utterance(id="a", duration_s=0.5, path=path)
    in_memory = replace(in_file, path=None, samples=in_file.audio(16_000), sample_rate_hz=16_000)
    cache = SpeechCache(tmp_path / "cache")
    one, other = (
        with_noise(Corpus.of("c", [clip]), kind="white", snr_db=10, seed=0, cache=cache)
        for clip in (in_file, in_memory)
    )
    assert np.array_equal(one.utterances[0].audio(16_000), other.utterances[0].audio(16_000))


def test_audio_without_speech_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(8000, np.float32), 16_000)
    with pytest.raises(UsageError, match=r"quiet\.wav: no noise can be added: digital silence"):
        open_corpus(f"{tmp_path / 'quiet.wav'}?noise=white&snr_db=5", cache=SpeechCache(tmp_path / "cache"))
