"""What known clients do, message by message, on a real socket against a fake listener: the native encoding."""

from __future__ import annotations

import asyncio

import msgpack
import numpy as np
import pytest

from tests.servers.kyutai.conftest import Call, Running, Start, dial, packed, packed_audio
from tests.servers.kyutai.fake import DELAY, begins_s, say, silence
from tests.waiting import until

TEXT = "hello to all of you"


pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("neighbour")]


async def test_the_server_speaks_first(server: Running) -> None:
    async with dial(server) as call:
        assert await call.hear() == {"type": "Ready"}


async def test_the_reference_client_that_floods(server: Running) -> None:
    """stt_from_file_rust_server.py --rtf 1000: no wait for Ready; 1 s, the file, 5 s; Marker; 35 s of silence."""
    async with dial(server) as call:
        await call.ws.send(packed_audio(np.zeros(24_000, np.float32)))
        await call.say(np.concatenate([silence(1), np.zeros(960, np.float32), say(TEXT, before=3, after=40)]))
        for _ in range(5):
            await call.ws.send(packed_audio(np.zeros(24_000, np.float32)))
        await call.tell("Marker", id=0)
        for _ in range(35):
            await call.ws.send(packed_audio(np.zeros(24_000, np.float32)))
        await call.hear_until("Marker", id=0)
        assert call.words == TEXT
        assert call.rows[0] == {"type": "Ready"}


async def test_a_flood_of_minutes_is_heard_whole(server: Running) -> None:
    words = " ".join(["above", "below", "beside"] * 40)
    async with dial(server) as call:
        audio = say(words)
        assert len(audio) > 60 * 24_000
        await call.say(audio)
        assert await call.flush() == 1000
    assert call.final == call.words == words


async def test_the_microphone_client_sends_no_marker_and_just_goes(server: Running) -> None:
    async with dial(server) as call:
        await call.say(np.concatenate([say(TEXT), silence(DELAY + 2)]))
        while call.words != TEXT:
            await call.hear()
    await until(lambda: server.free == 3)


async def test_a_client_that_waits_for_ready_and_counts_steps(server: Running) -> None:
    """unmute: first Ready; each frame of its audio brings one Step, which is its clock; 8 silent frames flush."""
    audio = np.concatenate([say(TEXT), silence(8)])
    frames = len(audio) // 1920
    async with dial(server) as call:
        assert (await call.hear())["type"] == "Ready"
        await call.say(audio)
        await call.hear_until("Step", step_idx=frames)
        assert await call.flush() == 1000
    assert [row["step_idx"] for row in call.of("Step")] == list(range(1, frames + 1))
    assert all(len(row["prs"]) == 4 and row["buffered_pcm"] >= 0 for row in call.of("Step"))
    assert list(call.of("Step")[0]) == ["type", "step_idx", "prs", "buffered_pcm"]
    assert call.of("Step")[0]["prs"][2] == 1.0 and call.of("Step")[-1]["buffered_pcm"] == 0


async def test_a_flush_at_once(server: Running) -> None:
    async with dial(server) as call:
        assert await call.flush() == 1000
    assert call.rows == [{"type": "Ready"}, {"type": "Final", "text": ""}]


async def test_a_flush_brings_out_the_last_word_and_its_end(server: Running) -> None:
    async with dial(server) as call:
        await call.say(say(TEXT, after=0))
        assert await call.flush() == 1000
    assert call.final == call.words == TEXT
    assert len(call.of("EndWord")) == len(TEXT.split())
    assert call.rows[-2]["type"] == "EndWord" and call.rows[-1]["type"] == "Final"
    assert call.rows[-2]["stop_time"] == pytest.approx(len(say(TEXT, after=0)) / 24_000)


@pytest.mark.parametrize("portion", [1, 7, 480, 1920, 1921, 24_000, 10**6])
async def test_any_portions_give_the_same_words_and_times(server: Running, portion: int) -> None:
    text = "ab" if portion < 100 else TEXT
    async with dial(server) as call:
        await call.say(say(text), portion=portion)
        assert await call.flush() == 1000
    assert call.final == text
    assert call.starts_s == pytest.approx(begins_s(text))


@pytest.mark.parametrize("kind", ["f4", "f8", "int"])
async def test_audio_may_be_packed_in_any_way(server: Running, kind: str) -> None:
    audio = say("ab")
    pcm: list[float] = np.rint(2 * audio).astype(int).tolist() if kind == "int" else audio.tolist()
    async with dial(server) as call:
        row = {"pcm": pcm, "extra": {"deep": [1]}, "type": "Audio"}
        await call.ws.send(msgpack.packb(row, use_single_float=kind == "f4"))
        assert await call.flush() == 1000
    assert call.final == "ab"


async def test_init_again_is_a_new_stream(server: Running) -> None:
    async with dial(server) as call:
        await call.tell("Init")
        await call.say(say("lost words", after=0))
        await call.tell("Marker", id=1)
        await call.tell("Init")
        await call.say(say(TEXT))
        assert await call.flush() == 1000
    last = max(at for at, row in enumerate(call.rows) if row["type"] == "Ready")
    assert len(call.of("Ready")) == 3 and not call.of("Marker")
    assert call.final == TEXT
    new = Call(call.ws, call.rows[last:])
    assert new.words == TEXT and new.starts_s == pytest.approx(begins_s(TEXT)) and new.of("Step")[0]["step_idx"] == 1


async def test_init_again_while_its_step_runs(server: Running) -> None:
    async with dial(server) as call:
        server.listener.gate.clear()
        await call.say(say("lost"))
        await asyncio.sleep(0.05)
        await call.tell("Init")
        await asyncio.sleep(0.05)
        server.listener.gate.set()
        await call.say(say(TEXT))
        assert await call.flush() == 1000
    assert call.final == call.words == TEXT
    assert call.starts_s == pytest.approx(begins_s(TEXT))


async def test_text_frames_are_ignored(server: Running) -> None:
    async with dial(server) as call:
        await call.ws.send("hello")
        await call.say(say(TEXT))
        await call.ws.send('{"type": "Flush"}')
        assert await call.flush() == 1000
    assert call.final == TEXT


async def test_what_comes_after_a_flush_is_ignored(server: Running) -> None:
    async with dial(server) as call:
        await call.say(say(TEXT))
        server.listener.gate.clear()
        await call.tell("Flush")
        await call.ws.send(b"nonsense")
        await call.say(say("too late"))
        await asyncio.sleep(0.05)
        server.listener.gate.set()
        assert await call.end() == 1000
    assert call.final == TEXT


async def test_the_next_user_of_a_seat_hears_nothing_of_the_last(start: Start) -> None:
    server = start(seats=1)
    for _ in range(2):
        async with dial(server) as call:
            await call.say(say("secret", after=0))
            await call.hear_until("Step", step_idx=5)
            call.ws.transport.abort()
        await until(lambda: server.free == 1)
    async with dial(server) as call:
        await call.say(silence(20))
        assert await call.flush() == 1000
    assert (call.final, call.words) == ("", "")


async def test_without_heads_prs_is_empty(start: Start) -> None:
    server = start(pause_heads=0)
    async with dial(server) as call:
        await call.say(silence(3))
        assert await call.flush() == 1000
    assert [row["prs"] for row in call.of("Step")] == [[], [], []]
    assert server.get("/api/modules_info").json()[0]["extra_heads"] == "0"


def test_messages_are_moshis_byte_for_byte() -> None:
    from servers.kyutai.events import Ready, Step, Word
    from servers.kyutai.live.native import Native

    codec = Native()
    assert codec.write(Ready()) == [packed("Ready")]
    assert codec.write(Step(3, (0.5,), 7)) == [packed("Step", step_idx=3, prs=[0.5], buffered_pcm=7)]
    (word,) = codec.write(Word("a", 0.08))
    assert isinstance(word, bytes) and word.startswith(b"\x83\xa4type\xa4Word\xa4text\xa1a\xaastart_time\xcb")
