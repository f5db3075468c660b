"""Where a stream is cut: at its pauses, the same however it comes, nothing lost and nothing twice."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.common.interfaces import Audio
from servers.parakeet.interfaces import WINDOW_SAMPLES as W
from servers.parakeet.live.chunker import Chunk, Chunker, ClosedBy
from tests.servers.parakeet.conftest import settings_of

MS = 16
"""Samples in a millisecond."""
LEVELS = st.lists(
    st.tuples(st.sampled_from((0.02, 0.3, 0.4, 0.6, 0.95)), st.integers(1, 40)).map(lambda run: [run[0]] * run[1]),
    max_size=12,
).map(lambda runs: [level for run in runs for level in run])
KNOBS = st.fixed_dictionaries(
    {
        "silence_ms": st.sampled_from((64.0, 200.0, 500.0, 2000.0)),
        "min_speech_ms": st.sampled_from((0.0, 96.0, 400.0)),
        "pad_ms": st.sampled_from((0.0, 30.0, 200.0, 1000.0)),
        "max_speech_ms": st.sampled_from((1000.0, 2345.0, 20_000.0)),
    }
)


def numbered(windows: int, rest: int = 0) -> Audio:
    """Audio whose every sample says which it is."""
    return np.arange(windows * W + rest, dtype=np.float32)


def feed(levels: list[float], *, portion: int = W, limit: int = 32, rest: int = 0, **knobs: Any) -> list[Chunk]:
    """The chunks of a stream of which the detector says `levels`, flushed at its end."""
    chunker, audio = Chunker(settings_of(**knobs)), numbered(len(levels), rest)
    found, judged = [], 0
    for start in range(0, len(audio), portion):
        chunker.append(audio[start : start + portion])
        while count := len(chunker.windows(limit)) // W:
            found += chunker.hear(np.array(levels[judged : judged + count], np.float32))
            judged += count
    last = chunker.close(at=len(audio), closed_by=ClosedBy.FLUSH)
    return found if last is None else [*found, last]


def places(chunks: list[Chunk]) -> list[tuple[int, int, str]]:
    return [(chunk.begin, chunk.end, chunk.closed_by) for chunk in chunks]


@settings(max_examples=50, deadline=None)
@given(LEVELS, KNOBS, st.integers(1, 5000), st.integers(1, 40), st.integers(0, W - 1))
def test_the_same_samples_give_the_same_chunks(
    levels: list[float], knobs: dict[str, Any], portion: int, limit: int, rest: int
) -> None:
    cut = feed(levels, portion=max(portion, 37), limit=limit, rest=rest, **knobs)
    whole = feed(levels, portion=10**9, limit=10**9, rest=rest, **knobs)
    assert places(cut) == places(whole)
    assert all(np.array_equal(one.audio, other.audio) for one, other in zip(cut, whole, strict=True))


@settings(max_examples=50, deadline=None)
@given(LEVELS, KNOBS, st.integers(0, W - 1))
def test_a_chunk_is_a_piece_of_the_stream_and_no_sample_is_in_two(
    levels: list[float], knobs: dict[str, Any], rest: int
) -> None:
    chunks = feed(levels, rest=rest, **knobs)
    stream = numbered(len(levels), rest)
    assert all(np.array_equal(chunk.audio, stream[chunk.begin : chunk.end]) for chunk in chunks)
    assert all(earlier.end <= later.begin for earlier, later in pairwise(chunks))
    assert all(0 < len(chunk.audio) <= knobs["max_speech_ms"] * MS for chunk in chunks)


@settings(max_examples=50, deadline=None)
@given(LEVELS, KNOBS)
def test_no_speech_is_lost(levels: list[float], knobs: dict[str, Any]) -> None:
    chunks = feed(levels, **(knobs | {"min_speech_ms": 0.0}))
    covered = np.zeros(len(levels) * W, bool)
    for chunk in chunks:
        covered[chunk.begin : chunk.end] = True
    speech = np.repeat(np.array(levels) >= 0.5, W)
    assert covered[speech].all()


@settings(max_examples=50, deadline=None)
@given(LEVELS, KNOBS)
def test_what_follows_a_chunk_that_became_too_long_is_the_next_ones(levels: list[float], knobs: dict[str, Any]) -> None:
    chunks = feed(levels, **knobs)
    for earlier, later in pairwise(chunks):
        if earlier.closed_by == ClosedBy.LENGTH:
            between = levels[earlier.end // W + 1 : later.begin // W]
            assert earlier.end == later.begin or all(level < 0.5 for level in between)


@settings(max_examples=50, deadline=None)
@given(LEVELS, st.integers(0, 480), st.integers(0, 600))
def test_a_flush_anywhere_doubles_and_loses_nothing(levels: list[float], at_window: int, rest: int) -> None:
    chunker, stream = Chunker(settings_of(min_speech_ms=0)), numbered(len(levels))
    at = min(at_window * W + rest, len(stream))
    chunker.append(stream)
    chunks = chunker.hear(np.array(levels[: at // W], np.float32))
    flushed = chunker.close(at=at, closed_by=ClosedBy.FLUSH)
    chunks += [flushed] if flushed else []
    chunks += chunker.hear(np.array(levels[at // W :], np.float32))
    last = chunker.close(at=len(stream), closed_by=ClosedBy.END)
    chunks += [last] if last else []
    assert all(earlier.end <= later.begin for earlier, later in pairwise(chunks))
    heard = np.concatenate([chunk.audio for chunk in chunks] or [np.zeros(0, np.float32)])
    speech = np.flatnonzero(np.repeat(np.array(levels) >= 0.5, W))
    assert np.isin(speech, heard).all()


def test_two_turns_are_two_chunks_with_their_padding() -> None:
    levels = [0.02] * 20 + [0.95] * 30 + [0.02] * 30 + [0.95] * 10 + [0.02] * 30
    first, second = feed(levels, pad_ms=64)
    assert (first.begin, first.end) == (18 * W, 52 * W)
    assert (second.begin, second.end) == (78 * W, 92 * W)
    assert (second.begin_s, second.end_s) == (78 * 0.032, 92 * 0.032)
    assert first.closed_by == second.closed_by == ClosedBy.SILENCE


@pytest.mark.parametrize(("silence_ms", "windows"), [(64, 2), (500, 15), (512, 16), (5000, 156)])
def test_a_chunk_is_closed_before_the_silence_is_longer_than_allowed(silence_ms: float, windows: int) -> None:
    chunker = Chunker(settings_of(silence_ms=silence_ms))
    chunker.append(numbered(5 + windows))
    assert chunker.hear(np.array([0.9] * 5 + [0.0] * (windows - 1), np.float32)) == []
    assert len(chunker.hear(np.array([0.0], np.float32))) == 1
    assert windows * W <= silence_ms * MS


def test_between_the_thresholds_nothing_begins_and_nothing_ends() -> None:
    assert feed([0.4] * 100) == []
    assert [chunk.end for chunk in feed([0.6] * 5 + [0.4] * 100)] == [105 * W]
    assert len(feed([0.6] * 5 + [0.02, *[0.4] * 20] + [0.6] * 5)) == 2  # a silence is one until speech is likely again
    assert len(feed([0.6] * 5 + [0.02, *[0.4] * 5] + [0.6] * 5)) == 1


def test_padding_between_two_near_chunks_is_in_one_of_them() -> None:
    levels = [0.95] * 10 + [0.02] * 4 + [0.95] * 10 + [0.02] * 10
    first, second = feed(levels, silence_ms=100, pad_ms=1000)
    assert (first.end, second.begin) == (13 * W, 13 * W)


@pytest.mark.parametrize(("windows", "chunks"), [(2, 0), (3, 1)])
def test_a_short_sound_is_no_speech(windows: int, chunks: int) -> None:
    assert len(feed([0.02] * 20 + [0.95] * windows + [0.02] * 20)) == chunks


def test_a_long_chunk_is_cut_in_its_latest_pause() -> None:
    levels = [0.95] * 40 + [0.02] * 4 + [0.95] * 8 + [0.02] * 4 + [0.95] * 40 + [0.02] * 20
    first, second = feed(levels, max_speech_ms=2000, pad_ms=0)
    assert (first.begin, first.end, first.closed_by) == (0, 54 * W, ClosedBy.LENGTH)
    assert (second.begin, second.end, second.closed_by) == (54 * W, 96 * W, ClosedBy.SILENCE)


def test_without_a_pause_it_is_cut_where_speech_is_least_likely() -> None:
    levels = [0.95] * 50 + [0.7] + [0.95] * 5 + [0.8] + [0.95] * 30
    first, second = feed(levels, max_speech_ms=2000, pad_ms=0)
    assert first.end == second.begin == 50 * W + W // 2


def test_a_short_rest_after_a_cut_is_kept_and_a_silent_one_is_not() -> None:
    levels = [0.95] * 63 + [0.02] * 40
    knobs: dict[str, Any] = {"max_speech_ms": 2000, "pad_ms": 0, "min_speech_ms": 800}
    assert places(feed(levels, **knobs)) == [(0, 61 * W + W // 2, "length"), (61 * W + W // 2, 63 * W, "silence")]
    (only,) = feed([0.95] * 55 + [0.02] * 40, silence_ms=1000, **(knobs | {"min_speech_ms": 0}))
    assert (only.closed_by, only.end) == (ClosedBy.LENGTH, 58 * W + W // 2)


@settings(max_examples=50, deadline=None)
@given(LEVELS, KNOBS)
def test_waiting_for_the_windows_it_wants_closes_no_chunk_later(levels: list[float], knobs: dict[str, Any]) -> None:
    """A window that closes a chunk is always the last of those that were waited for."""
    chunker = Chunker(settings_of(**knobs))
    chunker.append(numbered(len(levels)))
    at = 0
    while at + chunker.wants <= len(levels):
        taken = chunker.wants
        early = chunker.hear(np.array(levels[at : at + taken - 1], np.float32))
        chunker.hear(np.array(levels[at + taken - 1 : at + taken], np.float32))
        assert early == []
        at += taken


def test_silence_costs_no_memory() -> None:
    chunker = Chunker(settings_of(pad_ms=1000))
    for _ in range(2000):
        chunker.append(np.zeros(W, np.float32))
        chunker.hear(np.zeros(1, np.float32))
        assert chunker.received - chunker.kept_from <= 1000 * MS
    assert chunker._tape._store.nbytes < 300_000


def test_what_is_open_can_be_read_before_it_is_closed() -> None:
    chunker = Chunker(settings_of(pad_ms=0))
    chunker.append(numbered(10))
    chunker.hear(np.array([0.0] * 4 + [0.9] * 2, np.float32))
    assert chunker.so_far() is None and chunker.is_open  # two windows are no speech yet
    chunker.hear(np.array([0.9] * 2, np.float32))
    so_far = chunker.so_far()
    assert so_far is not None and np.array_equal(so_far.audio, np.arange(4 * W, 8 * W))
    assert chunker.open_samples == 4 * W


def test_a_flush_leaves_what_is_too_short_to_be_speech() -> None:
    chunker = Chunker(settings_of(pad_ms=0))
    chunker.append(numbered(24))
    chunker.hear(np.array([0.9] * 2, np.float32))
    assert chunker.close(at=2 * W + 100, closed_by=ClosedBy.FLUSH) is None
    (chunk,) = chunker.hear(np.array([0.9] * 7 + [0.0] * 15, np.float32))
    assert (chunk.begin, chunk.end) == (0, 9 * W)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=30))
def test_the_tape_keeps_what_is_not_dropped(steps: list[tuple[int, int]]) -> None:
    tape = Chunker(settings_of())._tape
    for total, (added, dropped) in zip(accumulate(added for added, _ in steps), steps, strict=True):
        tape.append(np.arange(total - added, total, dtype=np.float32))
        tape.drop(min(tape.begin + dropped, total))
        assert np.array_equal(tape.copy(tape.begin, total), np.arange(tape.begin, total))
    with pytest.raises(IndexError):
        tape.copy(tape.begin - 1, tape.end)
