"""Sliding windows, tallies of floods, and audio that is held: against slow and obvious twins."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.voxtral.faults import WireFault
from servers.voxtral.session.held import Held
from servers.voxtral.session.rates import TOGETHER_S, Tally, Window

steps_s = st.lists(st.integers(0, 24).map(lambda eighths: eighths / 8), max_size=60)


@given(steps=steps_s, limit=st.integers(1, 5), window_s=st.sampled_from([0.5, 1.0, 2.5]))
def test_no_window_holds_more_than_its_limit(steps: list[float], limit: int, window_s: float) -> None:
    window, at_s, admitted = Window(limit, window_s), 0.0, list[float]()
    for step in steps:
        at_s += step
        inside = sum(one > at_s - window_s for one in admitted)
        assert window.admit(at_s) == (inside < limit)
        if inside < limit:
            admitted.append(at_s)
        else:
            assert 0 < window.wait_s(at_s) <= window_s


def test_a_window_opens_when_it_said() -> None:
    window = Window(3, 10.0)
    assert [window.admit(at_s) for at_s in (0.0, 4.0, 5.0, 6.0)] == [True, True, True, False]
    assert window.wait_s(6.0) == 4.0
    assert not window.admit(9.999)
    assert window.admit(10.0)


def test_no_limit_remembers_nothing() -> None:
    window = Window(0, 60.0)
    assert all(window.admit(0.0) for _ in range(10_000))
    assert window.wait_s(0.0) == 0.0


@given(steps=steps_s)
def test_a_tally_tells_all_and_at_most_once_a_second(steps: list[float]) -> None:
    tally, at_s, told = Tally(), 0.0, list[tuple[float, float]]()
    for step in steps:
        at_s += step
        if amount := tally.add(1, at_s):
            told.append((at_s, amount))
        assert tally.untold == 0 or tally.due_s(at_s) > 0
    if amount := tally.rest(at_s + TOGETHER_S):
        told.append((at_s + TOGETHER_S, amount))
    assert sum(amount for _, amount in told) == len(steps)
    assert all(later - earlier >= TOGETHER_S for (earlier, _), (later, _) in pairwise(told))
    assert not steps or told[0][1] == 1


sizes = st.lists(st.integers(1, 40).map(lambda samples: 2 * samples), max_size=40)


@given(sizes=sizes)
def test_held_audio_is_the_newest_and_what_went_is_counted(sizes: list[int]) -> None:
    held, all_audio, dropped = Held(max_messages=1000, max_bytes=100), b"", 0
    for number, size in enumerate(sizes):
        piece = bytes([number, 255]) * (size // 2)
        all_audio += piece
        dropped += held.append(piece)
        assert held.size_bytes == len(all_audio) - dropped <= 100
    assert held.take_loose() == all_audio[dropped:]
    assert held.size_bytes == 0


def test_held_messages_are_bounded_and_a_refused_one_changes_nothing() -> None:
    held = Held(max_messages=3, max_bytes=1000)
    held.start("a")
    held.append(b"11")
    held.append(b"22")
    with pytest.raises(WireFault) as refusal:
        held.append(b"33")
    assert (refusal.value.code, refusal.value.reason_code) == ("server_at_capacity", "inbound_queue_full")
    first = held.take()
    assert first is not None and (first.request_id, first.pcm) == ("a", b"1122")
    held.append(b"44")
    assert held.take_loose() == b"44"


def test_the_oldest_audio_goes_first_also_of_an_earlier_utterance() -> None:
    held = Held(max_messages=10, max_bytes=6)
    held.start("a")
    held.append(b"1122")
    held.open.is_finished = True  # type: ignore[union-attr]
    held.start("b")
    assert held.append(b"334455") == 4
    assert [(one.request_id, one.pcm) for one in held] == [("a", b""), ("b", b"334455")]
