"""Audio that waits: what comes in comes out, but for what was refused or dropped and told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.voxtral.faults import WireFault
from servers.voxtral.speech.backlog import Backlog
from servers.voxtral.speech.replay import Replay

SIZES = st.lists(st.integers(1, 40).map(lambda n: 2 * n), max_size=60)


def numbered(sizes: list[int]) -> list[bytes]:
    """Messages of which no two bytes in a row are alike."""
    whole = bytes(n % 251 for n in range(sum(sizes)))
    return [whole[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(len(sizes))]


@given(sizes=SIZES, takes=st.lists(st.integers(0, 60).map(lambda n: 2 * n), max_size=60))
@settings(deadline=None)
def test_what_comes_in_comes_out(sizes: list[int], takes: list[int]) -> None:
    backlog, messages, got = Backlog(max_messages=1000, max_bytes=10**6), numbered(sizes), b""
    for number in range(max(len(messages), len(takes))):
        if number < len(messages):
            assert backlog.add(messages[number]) == 0
        if number < len(takes):
            part = backlog.take(takes[number])
            assert len(part) <= takes[number]
            got += part
    assert got + backlog.take(10**6) == b"".join(messages)
    assert backlog.bytes == 0


@given(sizes=SIZES, max_bytes=st.integers(1, 100).map(lambda n: 2 * n))
@settings(deadline=None)
def test_beyond_its_seconds_the_oldest_goes_and_is_counted(sizes: list[int], max_bytes: int) -> None:
    backlog, messages = Backlog(max_messages=1000, max_bytes=max_bytes), numbered(sizes)
    dropped = sum(backlog.add(message) for message in messages)
    kept = backlog.take(10**6)
    assert b"".join(messages)[dropped:] == kept
    assert len(kept) <= max_bytes and (dropped == 0 or len(kept) == max_bytes)


def test_beyond_its_messages_one_is_refused_and_none_of_it_kept() -> None:
    backlog = Backlog(max_messages=2, max_bytes=1000)
    backlog.add(b"ab")
    backlog.add(b"cdef")
    with pytest.raises(WireFault) as fault:
        backlog.add(b"gh")
    assert (fault.value.code, fault.value.reason_code) == ("server_at_capacity", "inbound_queue_full")
    assert fault.value.details["limit"] == 2 and fault.value.closes is None
    assert backlog.take(4) == b"abcd"  # half a message still waits, and counts as one
    backlog.add(b"gh")
    assert backlog.take(100) == b"efgh"


@given(sizes=SIZES, at=st.floats(0, 1), forget=st.floats(0, 1))
@settings(deadline=None)
def test_a_replay_holds_all_that_was_not_forgotten(sizes: list[int], at: float, forget: float) -> None:
    replay, messages = Replay(), numbered(sizes)
    whole = b"".join(messages)
    for message in messages:
        replay.add(message)
    replay.forget_before(int(forget * len(whole)))
    assert replay.start <= int(forget * len(whole)) and replay.end == len(whole)
    place = replay.start + int(at * (replay.end - replay.start))
    assert b"".join(replay.since(place)) == whole[place:]
    assert replay.start + max(sizes, default=0) >= int(forget * len(whole))
