"""Markers: each is answered when what came before it is transcribed, also where no audio follows.

In the second half the server puts silence in, which takes no time.
"""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from tests.servers.kyutai.conftest import Running, Start, dial
from tests.servers.kyutai.fake import DELAY, begins_s, say, silence

pytestmark = pytest.mark.slow

TEXT = "hello to all of you"


@pytest.fixture
def patient(start: Start) -> Running:
    return start(marker_patience_ms=100)


async def test_a_marker_is_answered_in_its_place(server: Running) -> None:
    first, second = say("one two"), say("three four")
    async with dial(server) as call:
        await call.say(first)
        await call.tell("Marker", id=7)
        await call.say(second)
        await call.tell("Marker", id=-8)
        assert await call.flush() == 1000
    kinds = [row.get("text", row.get("id")) for row in call.rows if row["type"] in ("Word", "Marker")]
    assert kinds == ["one", "two", 7, "three", "four", -8] or kinds == ["one", "two", "three", 7, "four", -8]
    assert call.final == "one two three four"


async def test_a_marker_waits_for_the_word_in_front_of_it(server: Running) -> None:
    """The word's last token comes DELAY frames behind it, and one more frame shows that it was the last."""
    async with dial(server) as call:
        await call.say(say("hey", after=0))
        await call.tell("Marker", id=1)
        await call.say(silence(DELAY))
        await call.hear_until("Step", step_idx=6 + DELAY)
        await call.say(silence(1))
        await call.hear_until("Marker", id=1)
    assert [row["type"] for row in call.rows[-3:]] == ["Step", "Word", "Marker"]


async def test_markers_of_an_empty_stream_are_answered_at_once(server: Running) -> None:
    async with dial(server) as call:
        for id in (2**40, 3, 3):
            await call.tell("Marker", id=id)
            await call.hear_until("Marker", id=id)


async def test_other_streams_steps_bring_no_marker_early(server: Running) -> None:
    async with dial(server) as call, dial(server) as other:
        await call.say(say("hey", after=0))
        await call.tell("Marker", id=1)
        await other.say(silence(50))
        await other.hear_until("Step", step_idx=50)
        await call.say(silence(DELAY + 1))
        await call.hear_until("Marker", id=1)
        assert call.words == "hey"


async def test_it_is_answered_without_more_audio(patient: Running) -> None:
    audio = say(TEXT, after=0)
    async with dial(patient) as call:
        await call.say(audio)
        await call.tell("Marker", id=5)
        began_s = time.monotonic()
        await call.hear_until("Marker", id=5)
        assert time.monotonic() - began_s > 0.08
        assert call.words == TEXT
    assert len(call.of("Step")) == len(audio) // 1920


async def test_times_go_on_as_if_it_had_not_been(patient: Running) -> None:
    audio, expected = say("one two", after=0), begins_s("one two", after=0)
    async with dial(patient) as call:
        await call.say(audio)
        for id in range(3):
            await call.tell("Marker", id=id)
            await call.hear_until("Marker", id=id)
            expected += [len(audio) / 24_000 + at for at in begins_s("turn on", before=1)]
            audio = np.concatenate([audio, say("turn on", before=1)])
            await call.say(say("turn on", before=1))
        assert await call.flush() == 1000
    assert call.final == "one two turn on turn on turn on"
    assert call.starts_s == pytest.approx(expected)
    assert len(call.of("Step")) == len(audio) // 1920


async def test_audio_that_goes_on_is_not_broken_into(patient: Running) -> None:
    audio = say("a marker amid words", before=1, after=1)
    async with dial(patient) as call:
        await call.tell("Marker", id=0)
        for number in range(len(audio) // 1920):
            await call.say(audio[number * 1920 : (number + 1) * 1920])
            if number == 4:
                await call.tell("Marker", id=1)
            await asyncio.sleep(0.02)
        assert await call.flush() == 1000
    assert call.final == "a marker amid words"
    assert call.starts_s == pytest.approx(begins_s("a marker amid words", before=1, after=1))


async def test_a_flush_behind_it_adds_no_more(patient: Running) -> None:
    async with dial(patient) as call:
        await call.say(say("hey", after=0))
        await call.tell("Marker", id=1)
        await call.hear_until("Marker", id=1)
        seen = patient.listener.frames_seen
        assert await call.flush() == 1000
        assert patient.listener.frames_seen == seen
    assert call.final == "hey" and len(call.of("EndWord")) == 1


async def test_silence_waits_until_the_audio_that_is_here_is_heard(patient: Running) -> None:
    """Whoever goes on before the model has caught up is not broken into either."""
    first, second = say("one", after=0), say("two")
    async with dial(patient) as call:
        patient.listener.gate.clear()
        await call.say(first)
        await call.tell("Marker", id=1)
        await asyncio.sleep(0.3)
        await call.say(second)
        await asyncio.sleep(0.05)
        patient.listener.gate.set()
        assert await call.flush() == 1000
    assert call.final == "one two"
    assert patient.listener.frames_seen == (len(first) + len(second)) // 1920 + DELAY
