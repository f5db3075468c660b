"""Texts become utterances that say how they were made; a mistake in a text is named by its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.yapbench.audio_files import needs
from yapbench.corpora import spoken, tts
from yapbench.corpora.cache import SpeechCache
from yapbench.corpora.opening import open_corpus
from yapbench.corpora.tts import Spoken
from yapbench.corpus import Corpus
from yapbench.errors import UsageError


class Beeper:
    """An engine of one's own: 100 ms of tone for each letter, no word times. Nothing but the Engine protocol."""

    name = "beeper"
    default_voice = "tone"

    def __init__(self, version: str = "1.0") -> None:
        self._version = version
        self.said: list[str] = []

    def version(self) -> str:
        return self._version

    def language(self, voice: str) -> str:
        return "en"

    def word_error_s(self, voice: str) -> float | None:
        return None

    def speak(self, text: str, *, voice: str, rate: float, pitch: float) -> Spoken:
        self.said.append(text)
        if text == "unspeakable":
            raise UsageError("no beep for it")
        times = np.arange(round(len(text) * 0.1 / rate * 16_000)) / 16_000
        loudness = 0.0 if text == "silence" else 0.5
        return Spoken((loudness * np.sin(2 * np.pi * 300 * pitch * times)).astype(np.float32), 16_000)


def speak(
    texts: list[spoken.Text], folder: Path, *, engine: tts.Engine, rate: float = 1.0, pitch: float = 1.0
) -> Corpus:
    cache = SpeechCache(folder)
    return spoken.speak(texts, engine=engine, voice=engine.default_voice, rate=rate, pitch=pitch, cache=cache)


def test_an_engine_of_ones_own_speaks_each_text_once(tmp_path: Path) -> None:
    engine = Beeper()
    first, again = (speak(spoken.given(("hello", "you")), tmp_path, engine=engine) for _ in range(2))
    assert engine.said == ["hello", "you"]
    assert first.sha256 == again.sha256
    assert [(one.id, one.text, one.duration_s) for one in first] == [
        ("text-1-tone", "hello", 0.5),
        ("text-2-tone", "you", pytest.approx(0.3)),
    ]
    made = {"tts": "beeper", "tts_version": "1.0", "voice": "tone", "rate": 1.0, "pitch": 1.0}
    assert first.utterances[0].facts == first.source == first.facts()["source"] == made
    assert first.utterances[0].speech_end_s == pytest.approx(0.5, abs=0.02)


def test_whatever_changes_the_sound_changes_the_hash(tmp_path: Path) -> None:
    texts = spoken.given(("hello",))
    corpora = [
        speak(texts, tmp_path, engine=Beeper()),
        speak(texts, tmp_path, engine=Beeper("1.1")),
        speak(texts, tmp_path, engine=Beeper(), rate=1.1),
        speak(texts, tmp_path, engine=Beeper(), pitch=1.1),
        speak(spoken.given(("hallo",)), tmp_path, engine=Beeper()),
    ]
    assert len({corpus.sha256 for corpus in corpora}) == len(corpora)
    assert len({corpus.utterances[0].path for corpus in corpora}) == len(corpora)


@pytest.mark.parametrize(
    ("text", "words"), [("unspeakable", "no beep for it"), ("silence", "beeper says nothing: 'silence'")]
)
def test_a_text_that_cannot_be_spoken_is_named_by_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "texts.txt").write_text(f"hello\n\n{text}\n")
    with pytest.raises(UsageError, match=rf"texts\.txt:3: {words}"):
        speak(spoken.lines(tmp_path / "texts.txt"), tmp_path / "cache", engine=Beeper())


def test_a_file_of_texts_has_one_in_each_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.txt"
    path.write_text("Good  morning.\n\nHello.\n")
    assert [(one.id, one.text) for one in spoken.lines(path)] == [("calls-1", "Good morning."), ("calls-3", "Hello.")]
    path.write_text("\n \n")
    with pytest.raises(UsageError, match=r"calls\.txt: no text in it"):
        spoken.lines(path)
    with pytest.raises(UsageError, match=r"none\.txt: cannot be read"):
        spoken.lines(tmp_path / "none.txt")


def test_the_projects_paragraphs_come_by_language_and_length() -> None:
    assert len(spoken.pool("en", length=None)) > len(spoken.pool("en", length="short")) > 5
    assert spoken.pool("fr", length=None)
    with pytest.raises(UsageError, match=r"no paragraphs in de \(there are en, fr\); give text="):
        spoken.pool("de", length=None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tts:flite:slt?text=Good morning!", ["Good", "morning"]),
        ("tts:espeak-ng:fr?text=Oui, merci.", ["Oui", "merci"]),
        ("tts:espeak-ng:en-us?text=Hello.&rate=1.2&pitch=0.9", ["Hello"]),
    ],
)
def test_a_text_is_spoken_with_word_times_and_kept(tmp_path: Path, name: str, words: list[str]) -> None:
    needs(name.split(":")[1])
    cache = SpeechCache(tmp_path)
    first, again = (open_corpus(name, cache=cache, need_text=True) for _ in range(2))
    (one,) = first
    assert first == again
    assert [word.word for word in one.words] == words
    assert one.speech_end_s is not None
    assert one.words[-1].start_s < one.speech_end_s <= one.duration_s
    assert len(one.audio(16_000)) == pytest.approx(16_000 * one.duration_s, abs=2)


def test_the_paragraphs_of_the_project_are_spoken_by_flite(tmp_path: Path) -> None:
    version = needs("flite").version()
    corpus = open_corpus("tts:flite:rms?length=short&limit=2", cache=SpeechCache(tmp_path))
    assert [one.id for one in corpus] == ["short-01-rms", "short-02-rms"]
    assert corpus.facts()["source"] == corpus.source
    assert corpus.source["tts_version"] == version
    assert corpus.utterances[0].facts["word_error_s"] == 0.03
    assert f"flite {version}, voice rms" in corpus.note


def test_what_flite_cannot_speak_is_named_by_its_place(tmp_path: Path) -> None:
    needs("flite")
    with pytest.raises(UsageError, match=r"corpus: text 2: flite speaks English in ASCII only"):
        open_corpus({"tts": "flite", "text": ["Hello.", "Où ?"]}, cache=SpeechCache(tmp_path))
