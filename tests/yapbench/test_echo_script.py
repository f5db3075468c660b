"""What echo is told to say of a corpus: as many errors as were asked for, at places that can be counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.echo.script import read_script
from yapbench import wer
from yapbench.clients.codec import pcm16
from yapbench.corpora.opening import SENTENCES, open_corpus
from yapbench.corpus import Corpus, Utterance
from yapbench.echo.script import ScriptOptions, script_of, word_ends_s, write
from yapbench.errors import UsageError
from yapbench.streams.flicker import flicker

SAMPLES = open_corpus(f"{SENTENCES}&limit=8")
SHARES = st.sampled_from([0.0, 0.05, 0.3])


def clip(name: str, text: str, *, seed: int = 0, **facts: Any) -> Utterance:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    return Utterance(id=name, duration_s=1.0, samples=samples, sample_rate_hz=16_000, text=text, **facts)


@given(SHARES, SHARES, st.integers(0, 5))
def test_errors_and_revisions_are_as_many_as_asked_for(wrong: float, revised: float, seed: int) -> None:
    script = script_of(SAMPLES, ScriptOptions(wrong_words=wrong, revised_words=revised, seed=seed))
    scores = [wer.score(one.text or "", script[one.id].final, language=one.language) for one in SAMPLES]
    errors = wer.pooled(score.words.errors for score in scores)
    assert errors.total == errors.substitutions == round(wrong * errors.reference)
    for told in script.values():
        shown = flicker([*(text for _, text in told.partials), told.final])
        assert shown.unstable_words == shown.erased_words == shown.revisions == len(told.revised)
    words = sum(len(told.words) for told in script.values())
    assert sum(len(told.revised) for told in script.values()) == round(revised * words)


def test_words_that_are_two_or_half_a_word_when_counted_are_left_alone() -> None:
    text = "I don't owe twenty five dollars."
    script = script_of(Corpus.of("c", [clip("a", text, language="en")]), ScriptOptions(wrong_words=0.4))
    counted = wer.score(text, script["a"].final, language="en").words.errors
    assert counted.total == len(script["a"].wrong) == round(0.4 * counted.reference)


def test_more_errors_than_words_that_can_be_wrong_are_refused() -> None:
    with pytest.raises(UsageError, match="only 0 can be"):
        script_of(Corpus.of("c", [clip("a", "don't", language="en")]), ScriptOptions(wrong_words=1))
    with pytest.raises(UsageError, match=r"wrong_words is 1\.5"):
        ScriptOptions(wrong_words=1.5)


def test_the_server_knows_each_utterance_by_its_sound(tmp_path: Path) -> None:
    script = script_of(SAMPLES)
    read = read_script(write(script, tmp_path / "script.json"))
    for one in SAMPLES:
        assert read.recognise(pcm16(one.audio(16_000))).final == one.text == script[one.id].final


def test_clips_that_begin_alike_are_heard_for_longer() -> None:
    first, other = clip("a", "one"), clip("b", "two", seed=1)
    assert first.samples is not None and other.samples is not None
    alike = replace(other, samples=np.concatenate([first.samples[:2000], other.samples]), duration_s=1.125)
    script = script_of(Corpus.of("c", [first, alike]))
    assert script["a"].sound_bytes == 6400
    assert script["a"].partials[0][0] == pytest.approx(1.0)  # one word, spread over the whole clip
    with pytest.raises(UsageError, match="sound the same"):
        script_of(Corpus.of("c", [first, replace(first, id="b", text="two")]))
    assert len(script_of(Corpus.of("c", [first, replace(first, id="b")]))) == 2


def test_words_come_at_their_ends_else_evenly() -> None:
    assert word_ends_s(clip("a", "one two four five", speech_end_s=0.8)) == pytest.approx([0.2, 0.4, 0.6, 0.8])
    spoken = SAMPLES.utterances[0]
    assert word_ends_s(spoken) == [word.end_s for word in spoken.words]
    assert word_ends_s(replace(spoken, text="all at once")) == sorted(word_ends_s(replace(spoken, text="all at once")))


def test_the_same_options_give_the_same_script(tmp_path: Path) -> None:
    options = ScriptOptions(wrong_words=0.2, revised_words=0.2, seed=3)
    one, two, other = (script_of(SAMPLES, o) for o in (options, options, replace(options, seed=4)))
    assert one == two != other
    entries = json.loads(write(one, tmp_path / "s.json").read_text())
    assert {len(entry["heard"]) for entry in entries} == {64}


def test_an_utterance_without_a_text_is_refused() -> None:
    with pytest.raises(UsageError, match="'c': a has no text"):
        script_of(Corpus.of("c", [clip("a", " ")]))
