"""What a client hears that keeps to the wire, on a real socket against a fake model."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.servers.fastconformer.conftest import Running, Start, dial, floats, pcm
from tests.servers.fastconformer.fake import FIRST, NEXT, words_of
from tests.waiting import until

pytestmark = pytest.mark.slow

NOTHING = np.zeros(0, np.float32)


@pytest.fixture
def server(start: Start) -> Running:
    return start()


async def test_a_stream_from_init_to_final(server: Running) -> None:
    audio = pcm(2.0)
    async with dial(server, init={"sid": "a", "sr": 16_000}) as call:
        await call.say(audio)
        assert await call.close() == 1000
    assert call.final == words_of(floats(audio))
    assert [row["op"] for row in call.rows[-2:]] == ["interim", "final"]
    assert {row["sid"] for row in call.rows} == {"a"}
    assert call.rows[-1]["final"] is True and call.rows[-2]["final"] is False
    assert abs(call.rows[-1]["ts"] - time.time() * 1000) < 60_000


@pytest.mark.parametrize("portion", [1, 3, 640, 5311, 10**6])
async def test_any_portions_of_the_audio_give_the_same_text(server: Running, portion: int) -> None:
    audio = pcm(0.5 if portion < 10 else 3.0)
    async with dial(server, init={}) as call:
        await call.say(audio, portion=portion)
        assert await call.close() == 1000
    assert call.final == words_of(floats(audio))


async def test_interims_come_on_change_only_and_grow(start: Start) -> None:
    async with dial(start(), init={}) as call:
        for number in range(12):
            await call.say(pcm(0.08, seed=number))
            await asyncio.sleep(0.02)
        await call.close()
    texts = [row["text"] for row in call.of("interim")]
    assert len(texts) >= 4
    assert all(later.startswith(text) for text, later in pairwise(texts))
    assert len(set(texts[:-1])) == len(texts) - 1


async def test_interims_come_at_most_once_a_tick(start: Start) -> None:
    server = start(step_ms=400, delay_s=0.02)
    async with dial(server, init={}) as call:
        await call.say(pcm(1.6))
        await call.tell("flush")  # the backlog is stepped at once: eleven steps, each with a new word
        await until(lambda: server.ears.frames_seen == 11)
        await asyncio.sleep(0.9)
        await call.close()
    *texts, last = [row["text"] for row in call.of("interim")]
    assert len(texts) <= 3  # the first, perhaps one after a tick, the answer to the flush
    assert len(set(texts)) == len(texts) and last == texts[-1]


async def test_who_reads_only_interims_gets_the_whole_text(server: Running) -> None:
    audio = pcm(1.0)
    async with dial(server, init={}) as call:
        await call.say(audio)
        await call.close()
    assert call.of("interim")[-1]["text"] == words_of(floats(audio))


async def test_a_flush_completes_the_text_and_the_stream_goes_on(server: Running) -> None:
    turns = [pcm(0.3, seed=1), pcm(0.5, seed=2)]
    async with dial(server, init={}) as call:
        await call.say(turns[0])
        await call.tell("flush")
        await until(lambda: server.ears.frames_seen == 3)
        await asyncio.sleep(0.05)
        await call.say(turns[1])
        assert await call.close() == 1000
    assert words_of(floats(turns[0]), NOTHING) in [row["text"] for row in call.of("interim")]
    assert call.final == words_of(*map(floats, turns))


async def test_every_flush_is_answered(server: Running) -> None:
    async with dial(server, init={}) as call:
        await call.tell("flush")
        assert (await call.hear())["text"] == ""
        await call.say(bytes(640))  # silence: the text does not change
        for _ in range(3):
            await call.tell("flush")
            assert (await call.hear())["text"] == ""
        assert await call.close() == 1000


async def test_a_flush_is_not_answered_by_an_earlier_one(start: Start) -> None:
    server = start(flush_after_ms=50, delay_s=0.05)
    async with dial(server, init={}) as call:
        server.ears.gate.clear()
        await call.say(bytes(6400))
        await asyncio.sleep(0.2)  # the timer's own flush waits now
        await call.say(bytes(6400))
        await call.tell("flush")
        await asyncio.sleep(0.05)
        server.ears.gate.set()
        await call.hear()
        assert server.ears.frames_seen == 6
        await asyncio.sleep(0.1)
        await call.close()
    assert len(call.rows) == 3


async def test_silence_completes_the_text_once(start: Start) -> None:
    server = start(flush_after_ms=100)
    audio = pcm(0.3)
    async with dial(server, init={}) as call:
        await call.say(audio)
        while (await call.hear())["text"] != words_of(floats(audio), NOTHING):
            pass
        seen = server.ears.frames_seen
        await asyncio.sleep(0.4)
        assert server.ears.frames_seen == seen
        await call.close()
    assert call.final == words_of(floats(audio), NOTHING)


async def test_a_late_flush_after_the_timers_own_adds_nothing(start: Start) -> None:
    server = start(flush_after_ms=50)
    async with dial(server, init={}) as call:
        await call.say(pcm(0.3))
        await until(lambda: server.ears.frames_seen == 3)
        await asyncio.sleep(0.05)
        await call.tell("flush")
        await call.hear()
        assert server.ears.frames_seen == 3


async def test_frames_that_come_bunched_are_no_silence(start: Start) -> None:
    server = start(flush_after_ms=150)
    audio = pcm(1.2)
    async with dial(server, init={}) as call:
        for at in range(0, len(audio), 3200):  # 100 ms at once
            await call.say(audio[at : at + 3200])
            await asyncio.sleep(0.1)
        await call.close()
    assert call.final == words_of(floats(audio))


@pytest.mark.parametrize("sid", ["séance 7", 42, 1.5, -3])
async def test_the_clients_name_comes_back_as_it_was(server: Running, sid: Any) -> None:
    async with dial(server, init={"sid": sid}) as call:
        await call.tell("close", sid=sid)
        assert await call.end() == 1000
    assert [(row["sid"], type(row["sid"])) for row in call.rows] == [(sid, type(sid))] * 2


async def test_without_a_name_it_is_the_request_id(server: Running) -> None:
    async with dial(server, init={}, additional_headers={"X-Request-ID": "r-9"}) as call:
        await call.close()
    assert {row["sid"] for row in call.rows} == {"r-9"}


async def test_a_stream_without_audio_ends_with_an_empty_text(server: Running) -> None:
    async with dial(server, init={}) as call:
        assert await call.close() == 1000
    assert [(row["op"], row["text"]) for row in call.rows] == [("interim", ""), ("final", "")]
    assert server.ears.frames_seen == 0


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
async def test_other_rates_are_resampled_however_they_are_cut(server: Running, rate_hz: int) -> None:
    audio, texts = pcm(1.0), []
    for portion in (322, 10_001):
        async with dial(server, init={"sr": rate_hz}) as call:
            await call.say(audio, portion=portion)
            assert await call.close() == 1000
        texts.append(call.final)
    assert texts[0] == texts[1]
    seconds = len(audio) / 2 / rate_hz
    assert len(texts[0].split()) == 1 + -(-round(seconds * 16_000 - FIRST) // NEXT)


async def test_what_comes_after_close_is_ignored(server: Running) -> None:
    audio = pcm(0.5)
    async with dial(server, init={}) as call:
        await call.say(audio)
        server.ears.gate.clear()
        await call.tell("close")
        await call.ws.send("nonsense")
        await call.say(audio)
        await asyncio.sleep(0.05)
        server.ears.gate.set()
        assert await call.end() == 1000
    assert call.final == words_of(floats(audio))


async def test_an_empty_frame_is_nothing(server: Running) -> None:
    async with dial(server) as call:
        await call.ws.send(b"")
        await call.tell("init")
        await call.ws.send(b"")
        assert await call.close() == 1000
    assert call.final == ""
