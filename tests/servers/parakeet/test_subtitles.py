"""Subtitles that players take: all words, short lines, no cue over another."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from servers.parakeet.rest.subtitles import Cue, cues, srt, vtt
from servers.parakeet.transcript import Transcript, Word

TIME = r"(\d\d+):(\d\d):(\d\d)[,.](\d\d\d)"


def spoken(*texts: str, gap_s: float = 0.1, start_s: float = 0.0) -> list[Word]:
    """Each word takes 0.3 s."""
    starts = [start_s + at * (0.3 + gap_s) for at in range(len(texts))]
    return [Word(text, at_s, at_s + 0.3, 0.9) for text, at_s in zip(texts, starts, strict=True)]


@st.composite
def speech(draw: st.DrawFn) -> list[Word]:
    at_s, words = draw(st.floats(0, 5000)), []
    letters = st.text(st.characters(categories=["L", "P", "N", "S"]), min_size=1, max_size=60)
    for text in draw(st.lists(letters | st.sampled_from(["a", "the", "end.", "<b>", "&"]), max_size=40)):
        at_s += draw(st.floats(0, 3))
        words.append(Word(text, at_s, at_s + draw(st.floats(0, 9)), 0.5))
        at_s = draw(st.sampled_from([words[-1].end_s, at_s]))
    return words


@given(speech())
def test_every_rule_holds_for_any_words(words: list[Word]) -> None:
    found = cues(words)
    told = "".join("".join(line.split()) for cue in found for line in cue.lines)
    assert told == "".join("".join(word.text.split()) for word in words)
    assert all(0 < cue.end_ms - cue.start_ms <= 7000 for cue in found)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(found))
    assert all(1 <= len(cue.lines) <= 2 and max(map(len, cue.lines)) <= 42 for cue in found)


@given(speech())
def test_the_files_say_the_same_times(words: list[Word]) -> None:
    transcript = Transcript("", tuple(words))
    assert re.findall(TIME, srt(transcript)) == re.findall(TIME, vtt(transcript))
    assert len(re.findall(TIME, srt(transcript))) == 2 * len(cues(words))


def test_sentences_and_pauses_end_a_cue() -> None:
    words = [*spoken("It", "ends.", "Then"), *spoken("later", start_s=3.0)]
    assert [cue.lines for cue in cues(words)] == [("It ends.",), ("Then",), ("later",)]


def test_a_cue_is_no_longer_than_two_lines_and_seven_seconds() -> None:
    assert [len(cue.lines) for cue in cues(spoken(*["parakeets"] * 9))] == [2, 1]
    assert cues(spoken(*["a"] * 12, gap_s=0.5))[0] == Cue(0, 6700, ("a a a a a a a a a",))


def test_srt() -> None:
    text = srt(Transcript("", tuple(spoken("one", "two.", start_s=3661.5))))
    assert text == "1\n01:01:01,500 --> 01:01:02,200\none two.\n\n"


def test_vtt_is_escaped() -> None:
    text = vtt(Transcript("", tuple(spoken("<i>", "&", "-->"))))
    assert text == "WEBVTT\n\n00:00:00.000 --> 00:00:01.100\n&lt;i&gt; &amp; --&gt;\n\n"


def test_nothing_said_is_no_cue() -> None:
    assert (srt(Transcript()), vtt(Transcript())) == ("", "WEBVTT\n\n")
