"""Synthesisers speak the same again and again, with word times, and say clearly what they cannot."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from tests.yapbench.audio_files import needs
from yapbench.corpora import espeak, tts
from yapbench.errors import UsageError

TEXT = "Good morning. Can you hear me, please?"
VOICES = [("flite", "slt"), ("flite", "kal16"), ("espeak-ng", "en"), ("espeak-ng", "fr+f2")]


@pytest.mark.parametrize(("name", "voice"), VOICES)
def test_the_same_text_gives_the_same_samples_and_words_in_order(name: str, voice: str) -> None:
    engine = needs(name)
    first, again = (engine.speak(TEXT, voice=voice, rate=1.0, pitch=1.0) for _ in range(2))
    assert np.array_equal(first.samples, again.samples)
    assert first.words == again.words
    assert first.samples.dtype == np.float32
    assert first.samples.ndim == 1
    assert [one.word for one in first.words] == ["Good", "morning", "Can", "you", "hear", "me", "please"]
    times = [time for one in first.words for time in (one.start_s, one.end_s)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
    assert times[-1] <= len(first.samples) / first.sample_rate_hz


@pytest.mark.parametrize("name", tts.ENGINES)
def test_rate_makes_it_shorter_and_pitch_makes_it_another(name: str) -> None:
    engine = needs(name)
    plain, fast, high = (
        engine.speak(TEXT, voice=engine.default_voice, rate=rate, pitch=pitch).samples
        for rate, pitch in ((1.0, 1.0), (1.5, 1.0), (1.0, 1.3))
    )
    assert len(fast) < 0.85 * len(plain)
    assert not np.array_equal(plain, high[: len(plain)])


@pytest.mark.parametrize("name", tts.ENGINES)
def test_an_engine_says_its_version(name: str) -> None:
    engine = needs(name)
    assert re.match(r"\d+\.\d+", engine.version())
    assert tts.build(name).version() == engine.version()


@pytest.mark.parametrize("name", tts.ENGINES)
@pytest.mark.parametrize(
    "text",
    [
        "Hello! Is it (really) you?!",
        "Wait… what; no: \"never\" - 'perhaps' – it’s well-known.",
        "In 1984 they paid 3.50 for 25 of them.",
    ],
)
def test_ordinary_punctuation_and_numbers_are_spoken(name: str, text: str) -> None:
    engine = needs(name)
    spoken = engine.speak(text, voice=engine.default_voice, rate=1.0, pitch=1.0)
    said = [part.strip(",.?") for part in tts.speakable(text).split()]
    assert [one.word for one in spoken.words] == said


def test_words_that_espeak_speaks_as_one_are_left_out_and_the_others_keep_their_times() -> None:
    spoken = needs("espeak-ng").speak("The cat sat on the mat.", voice="en", rate=1.0, pitch=1.0)
    assert [one.word for one in spoken.words] == ["The", "cat", "sat", "mat"]
    times = [time for one in spoken.words for time in (one.start_s, one.end_s)]
    assert times == sorted(times)
    assert spoken.words[3].start_s - spoken.words[2].end_s > 0.1


@pytest.mark.parametrize(
    ("events", "pauses", "words"),
    [
        ([(0, 0), (3, 10), (6, 20)], [], [("ab", 0, 10), ("cd", 10, 20), ("ef", 20, 30)]),
        ([(0, 0), (3, 10), (6, 20)], [8, 25], [("ab", 0, 8), ("cd", 10, 20), ("ef", 20, 25)]),
        ([(0, 0), (6, 20)], [], [("ef", 20, 30)]),  # one event for two words
        ([(0, 0), (2, 10), (6, 20)], [], [("ab", 0, 10), ("cd", 10, 20), ("ef", 20, 30)]),  # at the blank
        ([(0, 0), (3, 10), (2, 15), (6, 20)], [], [("ab", 0, 10), ("cd", 10, 15), ("ef", 20, 30)]),  # an echo
        ([(0, 0), (3, 10), (4, 15), (6, 20)], [12], [("ab", 0, 10), ("cd", 10, 20), ("ef", 20, 30)]),  # two in one
        ([], [], []),
    ],
)
def test_only_words_with_both_ends_of_their_own_have_times(
    events: list[tuple[int, int]], pauses: list[int], words: list[tuple[str, float, float]]
) -> None:
    found = espeak.timed("ab cd ef.", events, pauses, sample_rate_hz=1, count=30)
    assert [(one.word, one.start_s, one.end_s) for one in found] == words


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hello!", "Hello."),
        ("What?!", "What?"),
        ("“Yes,” she said — slowly…", "Yes, she said, slowly."),
        ("it's the dogs' (old) home: 'here'; at 10:30", "it's the dogs old home, here, at 10:30"),
        ("3.5 - or .5 -- more", "3.5, or .5, more"),
        ("... and so", "and so"),
    ],
)
def test_punctuation_becomes_what_both_engines_count_alike(text: str, spoken: str) -> None:
    assert tts.speakable(text) == spoken
    assert tts.speakable(spoken) == spoken


def test_unknown_names_say_what_there_is() -> None:
    with pytest.raises(UsageError, match="unknown tts engine 'espeak'; did you mean 'espeak-ng'"):
        tts.build("espeak")
    with pytest.raises(UsageError, match="unknown voice of flite 'sit'; did you mean 'slt'"):
        tts.Flite().language("sit")
    with pytest.raises(UsageError, match="espeak-ng --voices"):
        tts.EspeakNg().language("the french one")
    assert [tts.EspeakNg().language(voice) for voice in ("en-us", "fr+f2", "de")] == ["en", "fr", "de"]


def test_what_an_engine_cannot_speak_is_named() -> None:
    with pytest.raises(UsageError, match=r"not é: try espeak-ng: 'Un café\.'"):
        needs("flite").speak("Un café.", voice="slt", rate=1.0, pitch=1.0)
    with pytest.raises(UsageError, match="espeak-ng has no voice 'xx'; `espeak-ng --voices` lists them"):
        needs("espeak-ng").speak("Hello.", voice="xx", rate=1.0, pitch=1.0)
