"""The JSON encoding, and `/`, where the first frame decides which one it is."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgpack
import numpy as np
import pytest

from servers.kyutai.events import Failed, Final, Marker, Ready, Step, Word
from servers.kyutai.live.json_codec import MAX_TEXT, Json
from tests.servers.kyutai.conftest import JsonCall, Running, Start, dial, packed, packed_audio
from tests.servers.kyutai.fake import begins_s, say, silence
from tests.waiting import until

pytestmark = pytest.mark.slow
TEXT = "hello to all of you"


async def test_a_stream_from_start_to_final(server: Running) -> None:
    async with dial(server, "/", kind=JsonCall) as call:
        await call.tell("StartSTT")
        assert await call.hear() == {"type": "Ready"}
        await call.say(say(TEXT, after=0), portion=1000)
        assert await call.flush() == 1000
    assert set(call.kinds_of_frames) == {str}
    assert {row["type"] for row in call.rows} == {"Ready", "Word", "Partial", "Final"}
    assert call.words == call.final == call.of("Partial")[-1]["text"] == TEXT
    assert call.starts_s == pytest.approx(begins_s(TEXT, after=0))


async def test_partials_grow_word_by_word(server: Running) -> None:
    async with dial(server, "/", kind=JsonCall) as call:
        await call.tell("StartSTT")
        for word in TEXT.split():
            await call.say(np.concatenate([say(word), silence(6)]))
            await call.hear_until("Partial")
        await call.flush()
    words = TEXT.split()
    assert [row["text"] for row in call.of("Partial")] == [" ".join(words[:n]) for n in range(1, 6)]


async def test_nothing_is_sent_before_the_first_frame(server: Running) -> None:
    async with dial(server, "/") as call:
        with pytest.raises(TimeoutError):
            await call.hear(within_s=0.2)
        assert server.free == 4
        await call.tell("Flush")
        assert (await call.hear())["type"] == "Ready"
        assert await call.end() == 1000
    assert set(call.kinds_of_frames) == {bytes}


@pytest.mark.parametrize("first", ["Init", "Audio"])
async def test_a_binary_first_frame_means_messagepack(server: Running, first: str) -> None:
    async with dial(server, "/") as call:
        if first == "Init":
            await call.tell("Init")
        await call.say(say(TEXT))
        assert await call.flush() == 1000
    assert len(call.of("Ready")) == 1 and call.of("Step")
    assert call.final == TEXT


async def test_audio_may_come_first_in_json_too(server: Running) -> None:
    async with dial(server, "/", kind=JsonCall) as call:
        await call.say(say(TEXT))
        assert await call.flush() == 1000
    assert call.rows[0] == {"type": "Ready"} and call.final == TEXT


async def test_starting_again_is_a_new_stream(server: Running) -> None:
    async with dial(server, "/", kind=JsonCall) as call:
        await call.tell("StartSTT")
        await call.say(np.concatenate([say("old"), silence(6)]))
        await call.hear_until("Partial", text="old")
        await call.tell("StartSTT")
        await call.say(say("new"))
        await call.flush()
    assert (call.of("Partial")[-1]["text"], call.final) == ("new", "new")


@pytest.mark.parametrize("path", ["/", "/api/asr-streaming"])
async def test_both_encodings_say_the_same(server: Running, path: str) -> None:
    async with dial(server, path) as native, dial(server, "/", kind=JsonCall) as other:
        for call in (native, other):
            await call.say(say(TEXT))
            await call.tell("Flush")
        assert (await native.end(), await other.end()) == (1000, 1000)
    assert native.final == other.final and native.starts_s == other.starts_s


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("hello", "message"),
        ("[1]", "message"),
        ("[" * 100_000, "message"),
        ("{}", "type"),
        ('{"type": "Stop"}', "type"),
        ('{"type": "Audio"}', "audio"),
        ('{"type": "Audio", "audio": 7}', "audio"),
        ('{"type": "Audio", "audio": "no base64!"}', "audio"),
        ('{"type": "Audio", "audio": "é"}', "audio"),
        ('{"type": "Audio", "audio": "AAAA"}', "audio"),
    ],
)
@pytest.mark.usefixtures("neighbour")
async def test_mistakes_are_named(server: Running, text: str, field: str) -> None:
    for first in (None, '{"type": "StartSTT"}'):
        async with dial(server, "/", kind=JsonCall) as call:
            if first:
                await call.ws.send(first)
            await call.ws.send(text)
            assert await call.end() == 1007
        assert call.rows[-1]["message"].startswith(f"{field}: ")
        assert [row["type"] for row in call.rows] == ["Ready"] * bool(first) + ["Error"]
    assert server.free == 3


async def test_a_binary_frame_amid_json_is_refused(server: Running) -> None:
    async with dial(server, "/", kind=JsonCall) as call:
        await call.tell("StartSTT")
        await call.ws.send(packed_audio(silence(1)))
        assert await call.end() == 1003
    assert call.rows[-1]["type"] == "Error"


async def test_at_capacity_the_client_hears_it_in_its_encoding_first(start: Start) -> None:
    server = start(seats=1)
    async with dial(server) as holder:
        await holder.hear()
        for first, order in (('{"type": "StartSTT"}', [str, bytes]), (packed("Init"), [bytes, str])):
            async with dial(server, "/") as call:
                await call.ws.send(first)
                assert await call.end() == 1013
            assert call.rows == [{"type": "Error", "message": "no free channels"}] * 2
            assert call.kinds_of_frames == order
        async with dial(server) as call:
            assert await call.end() == 1013
        assert call.rows == [{"type": "Error", "message": "no free channels"}]


async def test_a_connection_that_says_nothing_holds_no_seat_and_is_closed(start: Start) -> None:
    server = start(ready_timeout_s=0.3, seats=1)
    async with dial(server, "/") as silent:
        assert server.free == 1
        assert await silent.end() == 4000
    assert silent.rows == []


async def test_a_client_that_goes_before_it_speaks(server: Running) -> None:
    async with dial(server, "/"):
        pass
    await until(lambda: server.status()["in_flight"] == 0)
    assert server.free == 4


def test_partials_are_told_once_for_several_words() -> None:
    codec = Json()
    rows: list[Any] = [json.loads(m) for event in (Word("a", 0.08), Word("b", 0.16)) for m in codec.write(event)]
    assert rows == [
        {"type": "Word", "word": "a", "start_time": 0.08},
        {"type": "Word", "word": "b", "start_time": 0.16},
    ]
    assert [json.loads(message) for message in codec.rest()] == [{"type": "Partial", "text": "a b"}]
    assert codec.rest() == () == codec.write(Step(1, (), 0)) == codec.write(Marker(1))
    codec.write(Word("c", 0.2))
    assert [json.loads(message)["text"] for message in codec.write(Final("a b c"))] == ["a b c", "a b c"]


def test_a_text_frame_has_a_limit() -> None:
    from servers.common.errors import TooLarge

    with pytest.raises(TooLarge) as fault:
        Json().read(" " * (MAX_TEXT + 1))
    assert fault.value.field == "message"
    assert [json.loads(message)["type"] for message in Json().write(Failed(fault.value))] == ["Error"]
    assert Json().write(Ready()) == ['{"type":"Ready"}']


def test_base64_of_pcm16_is_what_it_says() -> None:
    data = np.array([0, 1, -32_768, 32_767], "<i2").tobytes()
    sound: Any = Json().read(json.dumps({"type": "Audio", "audio": base64.b64encode(data).decode()}))
    (samples,) = sound.slices()
    assert (samples * 32_768).tolist() == [0, 1, -32_768, 32_767]
    assert msgpack.unpackb(packed("Init")) == {"type": "Init"}
