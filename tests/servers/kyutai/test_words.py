"""Tokens to words: by hand, and against a literal reading of moshi-core's rules."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.kyutai.events import EndWord, Word
from servers.kyutai.words import Words

A, B, C = 4, 5, 6
TOKENS = st.lists(st.sampled_from([0, 3, A, B, C]), max_size=40)


def text_of(tokens: Sequence[int]) -> str:
    return "".join("abc"[token - A] for token in tokens)


def words_of(delay: int) -> Words:
    return Words(delay_steps=delay, padding=3, boundary=0, text_of=text_of)


def told(tokens: Sequence[int], delay: int = 0) -> list[Word | EndWord]:
    words = words_of(delay)
    return [event for token in tokens for event in words.add(token)]


def moshi(tokens: Sequence[int], delay: int) -> list[Word | EndWord]:
    """rust/moshi-core/src/asr.rs, line by line; its first step hears nothing and brings `tokens` nothing."""
    events: list[Word | EndWord] = []
    step_idx, last_stop_time, unended_word = 1, 0.0, False
    word_tokens: list[int] = []
    for text_token in tokens:
        step_idx += 1
        if step_idx >= delay:
            if text_token in (3, 0):
                if word_tokens:
                    events.append(Word(text_of(word_tokens), last_stop_time))
                    word_tokens, unended_word = [], True
            else:
                word_tokens.append(text_token)
            if text_token == 0:
                stop_time = (step_idx - delay) / 12.5
                if unended_word:
                    unended_word = False
                    events.append(EndWord(stop_time))
                last_stop_time = stop_time
    return events


def test_a_word_is_told_one_step_behind_its_last_token() -> None:
    words = words_of(2)
    assert [words.add(token) for token in (3, 3, 0, A, B)] == [[], [], [], [], []]
    pending = [words.is_pending]
    assert words.add(3) == [Word("ab", 2 / 12.5)]
    assert [*pending, words.is_pending] == [True, False]
    assert words.add(0) == [EndWord(6 / 12.5)]


def test_a_boundary_ends_one_word_and_begins_the_next() -> None:
    assert told([0, A, 0, B, 3]) == [Word("a", 2 / 12.5), EndWord(4 / 12.5), Word("b", 4 / 12.5)]


def test_a_word_without_a_boundary_ends_the_one_before() -> None:
    assert told([0, A, 3, 3, B]) == [Word("a", 2 / 12.5), EndWord(6 / 12.5)]


def test_the_end_brings_out_the_last_word_and_its_end() -> None:
    words = words_of(0)
    for token in (0, A, B):
        assert words.add(token) == []
    assert words.finish() == [Word("ab", 2 / 12.5), EndWord(4 / 12.5)]
    assert words.finish() == []


def test_nothing_is_heard_before_the_delay() -> None:
    assert told([A, A, A], delay=5) == []
    assert told([A, 3], delay=2) == [Word("a", 0.0)] == told([B, A, 3], delay=3)


@given(tokens=TOKENS, delay=st.integers(0, 8))
def test_words_are_moshis(tokens: list[int], delay: int) -> None:
    ours = [event for event in told(tokens, delay) if isinstance(event, Word)]
    assert ours == [event for event in moshi(tokens, delay) if isinstance(event, Word)]


@given(tokens=TOKENS, delay=st.integers(0, 8))
def test_ends_are_moshis_and_those_it_leaves_out(tokens: list[int], delay: int) -> None:
    ours, theirs = told(tokens, delay), moshi(tokens, delay)
    assert [event for event in ours if event in theirs] == theirs


@given(tokens=TOKENS, delay=st.integers(0, 8))
def test_each_word_has_one_end_which_is_not_before_its_beginning(tokens: list[int], delay: int) -> None:
    words = words_of(delay)
    events = [event for token in tokens for event in words.add(token)] + words.finish()
    assert [type(event) for event in events] == [Word, EndWord] * (len(events) // 2)
    for word, end in zip(events[::2], events[1::2], strict=True):
        assert isinstance(word, Word) and isinstance(end, EndWord) and word.start_s <= end.stop_s


@given(tokens=TOKENS, delay=st.integers(0, 8))
def test_no_token_is_lost_or_doubled(tokens: list[int], delay: int) -> None:
    words = words_of(delay)
    events = [event for token in tokens for event in words.add(token)] + words.finish()
    heard = [token for number, token in enumerate(tokens, 1) if number + 1 >= delay and token not in (0, 3)]
    assert "".join(event.text for event in events if isinstance(event, Word)) == text_of(heard)


@pytest.mark.parametrize("frames", [0, 1, 7, 12_345, 10**7])
def test_times_are_moshis_to_the_last_bit(frames: int) -> None:
    from servers.kyutai.timeline import Timeline

    assert Timeline().audio_s(frames) == frames / 12.5
