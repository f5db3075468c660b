"""OggOpus, which sphn decodes: in any portions, as bytes or numbers, and what becomes of damaged ones."""

from __future__ import annotations

import random

import msgpack
import numpy as np
import pytest

from servers.common.errors import BadInput
from servers.common.interfaces import Audio
from servers.kyutai.live.codec import Begin, Sound
from servers.kyutai.live.native import Native

sphn = pytest.importorskip("sphn", reason="sphn is not installed")

SECONDS = 4


@pytest.fixture(scope="module")
def tone() -> Audio:
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(SECONDS * 24_000) / 24_000)).astype(np.float32)


@pytest.fixture(scope="module")
def ogg(tone: Audio) -> bytes:
    writer = sphn.OpusStreamWriter(24_000)
    return b"".join(writer.append_pcm(tone[at : at + 1920]) for at in range(0, len(tone), 1920))


def decode(codec: Native, data: object) -> Audio:
    request = codec.read(msgpack.packb({"type": "OggOpus", "data": data}))
    assert isinstance(request, Sound)
    return np.concatenate([*request.slices(), np.zeros(0, np.float32)])


def test_it_is_the_sound_that_was_encoded(ogg: bytes, tone: Audio) -> None:
    heard = decode(Native(), ogg)
    assert heard.dtype == np.float32 and abs(len(heard) - len(tone)) <= 1920
    spectrum = np.abs(np.fft.rfft(heard[24_000:48_000]))
    assert spectrum.argmax() == 440
    assert np.sqrt(np.mean(heard[24_000:48_000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("portion", [1, 37, 2048, 5000])
def test_portions_do_not_matter(ogg: bytes, portion: int) -> None:
    codec, data = Native(), ogg[:6000]
    parts = [decode(codec, data[at : at + portion]) for at in range(0, len(data), portion)]
    assert np.array_equal(np.concatenate(parts), decode(Native(), data))


def test_an_array_of_numbers_is_taken_too(ogg: bytes) -> None:
    assert np.array_equal(decode(Native(), list(ogg)), decode(Native(), ogg))


def test_a_new_stream_begins_with_a_new_file(ogg: bytes) -> None:
    codec = Native()
    whole = decode(codec, ogg)
    assert codec.read(msgpack.packb({"type": "Init"})) == Begin()
    assert np.array_equal(decode(codec, ogg), whole)


def test_what_is_no_opus_is_refused(ogg: bytes) -> None:
    for data in (b"garbage" * 100, b"OggS" + bytes(100), ogg[:2000] + bytes(500)):
        with pytest.raises(BadInput) as fault:
            decode(Native(), data)
        assert fault.value.field == "data"


def test_damage_is_refused_or_heard_and_nothing_else(ogg: bytes) -> None:
    chance = random.Random(0)
    for _ in range(300):
        data = bytearray(ogg[:3000])
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            assert np.isfinite(decode(Native(), bytes(data))).all()
        except BadInput as fault:
            assert fault.field == "data"  # noqa: PT017  (either is right)
