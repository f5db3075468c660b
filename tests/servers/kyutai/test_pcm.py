"""Audio out of MessagePack arrays, against msgpack's own reading of them."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.common.errors import BadInput, ServerFault
from servers.common.interfaces import Audio
from servers.kyutai.live.codec import SLICE_SAMPLES, Begin, Flush, Mark, Sound
from servers.kyutai.live.native import Native

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(FLOATS, st.floats(-1e30, 1e30), st.integers(-(2**63), 2**64 - 1))


def read(message: bytes) -> Audio:
    sound = Native().read(message)
    assert isinstance(sound, Sound)
    return np.concatenate([*sound.slices(), np.zeros(0, np.float32)])


def fault_of(message: bytes) -> ServerFault:
    with pytest.raises(ServerFault) as fault:
        read(message)
    return fault.value


def audio(pcm: Any, *, single: bool = True, **more: Any) -> bytes:
    message: bytes = msgpack.packb({"type": "Audio", "pcm": pcm, **more}, use_single_float=single)
    return message


@settings(deadline=None)
@given(pcm=st.lists(FLOATS, max_size=200), single=st.booleans(), extra=st.booleans())
def test_floats(pcm: list[float], single: bool, extra: bool) -> None:
    message = audio(pcm, single=single, **({"id": 1} if extra else {}))
    assert np.array_equal(read(message), np.array(pcm, np.float32))


@settings(deadline=None)
@given(parts=st.lists(st.tuples(st.lists(NUMBERS, max_size=20), st.booleans()), max_size=6))
def test_numbers_of_all_kinds_mixed(parts: list[tuple[list[float], bool]]) -> None:
    items = [msgpack.packb(x, use_single_float=single) for pcm, single in parts for x in pcm]
    message = b"\x82\xa4type\xa5Audio\xa3pcm" + b"\xdd" + len(items).to_bytes(4, "big") + b"".join(items)
    wanted = np.array([float(msgpack.unpackb(item)) for item in items], np.float32)
    assert np.array_equal(read(message), wanted)


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536, 3 * SLICE_SAMPLES + 1])
@pytest.mark.parametrize("mixed_at", [None, 0, -1])
def test_arrays_of_all_lengths(count: int, mixed_at: int | None) -> None:
    pcm: list[float] = np.linspace(-1, 1, count).astype(np.float32).tolist()
    if mixed_at is not None and count:
        pcm[mixed_at] = 7
    assert np.array_equal(read(audio(pcm)), np.array(pcm, np.float32))


@pytest.mark.parametrize("bad", ["0.5", None, True, [0.5], {"a": 1}, b"\0\0\0\0", math.nan, math.inf])
@pytest.mark.parametrize("before", [0, 1, SLICE_SAMPLES + 1])
@pytest.mark.parametrize("single", [False, True])
def test_what_is_no_finite_number_is_named(bad: object, before: int, single: bool) -> None:
    fault = fault_of(audio([*[0.5] * before, bad, 0.5], single=single))
    assert isinstance(fault, BadInput) and fault.field == "pcm"


def test_what_is_no_finite_number_in_32_bits_is_named() -> None:
    assert fault_of(audio([0.5, 1e300], single=False)).field == "pcm"


@pytest.mark.parametrize("pcm", ["text", None, 1.5, {"0": 0.5}, b"\0\0"])
def test_what_is_no_array_is_named(pcm: object) -> None:
    for message in (audio(pcm), msgpack.packb({"pcm": pcm, "type": "Audio"})):
        assert fault_of(message).field == "pcm"


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_damaged_message_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    message = bytearray(audio([0.25] * 40, single=data.draw(st.booleans()), id=3))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(message[: data.draw(st.integers(0, len(message)))])
    with contextlib.suppress(ServerFault):
        request = Native().read(damaged)
        if isinstance(request, Sound):
            assert all(np.isfinite(samples).all() for samples in request.slices())


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_message_that_is_cut_off_is_refused(cut: int) -> None:
    assert fault_of(audio([0.5] * 10)[:-cut]).code == "bad_input"


def test_what_stands_behind_the_map_is_refused() -> None:
    for message in (audio([0.5] * 10), msgpack.packb({"pcm": [0.5], "type": "Audio"})):
        assert fault_of(message + b"\xc0").field == "message"


def test_a_claimed_length_allocates_nothing() -> None:
    assert fault_of(b"\x82\xa4type\xa5Audio\xa3pcm\xdd\xff\xff\xff\xff").field == "pcm"
    assert fault_of(b"\xdf\xff\xff\xff\xff\xa4type").field == "message"


def test_nesting_without_end_is_refused() -> None:
    assert fault_of(b"\x82\xa4type\xa5Audio\xa3pcm" + b"\x91" * 100_000).field == "pcm"
    assert fault_of(b"\x81\xa1x" + b"\x91" * 100_000).field == "message"


def test_the_other_requests() -> None:
    codec = Native()
    assert codec.read(msgpack.packb({"type": "Init"})) == Begin()
    assert codec.read(msgpack.packb({"type": "Flush"})) == Flush()
    assert codec.read(msgpack.packb({"id": -(2**63), "type": "Marker"})) == Mark(-(2**63))
    assert codec.read("text") is None


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"type": "Marker"}, "id"),
        ({"type": "Marker", "id": "1"}, "id"),
        ({"type": "Marker", "id": 1.0}, "id"),
        ({"type": "Marker", "id": True}, "id"),
        ({"type": "Audio"}, "pcm"),
        ({"type": "OggOpus"}, "data"),
        ({"type": "OggOpus", "data": "text"}, "data"),
        ({"type": "OggOpus", "data": [1, 300]}, "data"),
        ({"type": "OggOpus", "data": ["a"]}, "data"),
        ({"type": "OggOpus", "data": bytes(2**20 + 1)}, "data"),
        ({"type": "Stop"}, "type"),
        ({"type": 7}, "type"),
        ({"type": ["Audio"]}, "type"),
        ({}, "type"),
        ([], "message"),
        ("Init", "message"),
        ({7: "Init"}, "type"),
    ],
)
def test_mistakes_are_named(row: object, field: str) -> None:
    with pytest.raises(ServerFault) as fault:
        Native().read(msgpack.packb(row))
    assert fault.value.field == field
