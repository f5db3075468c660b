"""The largest batch after memory ran out, and how it grows again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servers.parakeet.model_memory import PROOFS, Room


def test_it_is_half_of_what_failed() -> None:
    room = Room(16)
    assert room.ran_out(16) and room.largest_batch == 8
    assert room.ran_out(5) and room.largest_batch == 2
    assert room.ran_out(2) and room.largest_batch == 1
    assert room.out_of_memory == 3


def test_a_single_chunk_cannot_be_halved() -> None:
    room = Room(4)
    assert not room.ran_out(1)
    assert (room.largest_batch, room.out_of_memory) == (4, 1)


def test_enough_full_calls_double_it() -> None:
    room = Room(16)
    room.ran_out(16)
    for _ in range(PROOFS):
        assert room.largest_batch == 8
        room.sufficed(3)  # proves nothing
        room.sufficed(8)
    assert room.largest_batch == 16


def test_a_failure_begins_the_count_anew() -> None:
    room = Room(16)
    room.ran_out(16)
    for _ in range(PROOFS - 1):
        room.sufficed(8)
    room.ran_out(8)
    for _ in range(PROOFS - 1):
        room.sufficed(4)
    assert room.largest_batch == 4


@given(st.integers(1, 64), st.lists(st.tuples(st.booleans(), st.integers(1, 64)), max_size=200))
def test_it_is_never_less_than_one_nor_more_than_asked(most: int, calls: list[tuple[bool, int]]) -> None:
    room = Room(most)
    for failed, rows in calls:
        size = min(rows, room.largest_batch)
        if failed:
            room.ran_out(size)
        else:
            room.sufficed(size)
        assert 1 <= room.largest_batch <= most
