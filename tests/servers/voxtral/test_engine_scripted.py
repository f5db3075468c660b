"""The scripted engine says what vLLM says: what is proved against it would be worthless else."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.servers.voxtral.engine_folder import until
from tests.servers.voxtral.marked_speech import Ear, mark, numbers_of, silence, speech, text
from tests.servers.voxtral.scripted_vllm import Script, ScriptedVllm, parse

UPDATE = {"type": "session.update", "model": "m"}
START = {"type": "input_audio_buffer.commit", "final": False}
FINISH = {"type": "input_audio_buffer.commit", "final": True}


def append(pcm: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}


@asynccontextmanager
async def talking(script: Script | None = None) -> AsyncIterator[tuple[ScriptedVllm, ClientConnection]]:
    async with ScriptedVllm(script) as engine, connect(engine.url) as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"
        yield engine, socket


async def say(socket: ClientConnection, *events: dict[str, Any]) -> None:
    for event in events:
        await socket.send(json.dumps(event))


async def until_done(socket: ClientConnection) -> tuple[list[str], dict[str, Any]]:
    deltas: list[str] = []
    while (event := json.loads(await socket.recv()))["type"] != "transcription.done":
        assert event["type"] == "transcription.delta", event
        deltas.append(event["delta"])
    return deltas, event


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 30_000), max_size=8, unique=True), st.lists(st.integers(100, 5000), min_size=1), st.data()
)
def test_marks_are_heard_however_the_stream_is_cut(numbers: list[int], sizes: list[int], data: st.DataObject) -> None:
    pcm, ear, heard = speech(numbers, noise=data.draw(st.integers(0, 1999))), Ear(), []
    while pcm:
        size = 2 * data.draw(st.sampled_from(sizes))
        heard += ear.feed(pcm[:size])
        pcm = pcm[size:]
    assert heard == [(number, 6400 * at + 640) for at, number in enumerate(numbers)]


def test_half_a_mark_is_no_word() -> None:
    assert Ear().feed(mark(7)[:639].tobytes()) == []


@pytest.mark.parametrize(("seconds", "steps"), [(3.0, 48), (10.0, 135), (0.01, 11)])
async def test_steps_and_usage_are_as_many_as_vllm_s(seconds: float, steps: int) -> None:
    """Measured with vLLM 0.32 at a delay of 480 ms."""
    async with talking(Script(delay_steps=6)) as (_, socket):
        await say(socket, UPDATE, START, append(silence(seconds)), FINISH)
        deltas, done = await until_done(socket)
    usage = done["usage"]
    assert (len(deltas), usage["completion_tokens"], usage["prompt_tokens"]) == (steps, steps, 39)


async def test_every_word_comes_once_in_one_delta() -> None:
    async with talking() as (_, socket):
        await say(socket, UPDATE, START, append(speech(range(20))), FINISH)
        deltas, done = await until_done(socket)
    assert done["text"] == "".join(deltas) == text(range(20))


async def test_words_may_come_in_pieces() -> None:
    async with talking(Script(piece_chars=2)) as (_, socket):
        await say(socket, UPDATE, START, append(speech([1234])), FINISH)
        deltas, done = await until_done(socket)
    assert [delta for delta in deltas if delta] == [" w", "12", "34"] and numbers_of(done["text"]) == [1234]


async def test_audio_between_finish_and_done_is_thrown_away() -> None:
    async with talking(Script(step_s=0.005)) as (_, socket):
        await say(socket, UPDATE, START, append(speech([1])), FINISH, append(speech([2])))
        assert (await until_done(socket))[1]["text"] == text([1])
        await say(socket, START, append(speech([3])), FINISH)
        assert (await until_done(socket))[1]["text"] == text([3])


async def test_without_audio_there_are_no_steps() -> None:
    async with talking() as (_, socket):
        await say(socket, UPDATE, START, FINISH)
        deltas, done = await until_done(socket)
    assert not deltas and done["text"] == "" and done["usage"]["total_tokens"] == 0


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ('{"type": "session.update"}', "invalid_event"),
        ('{"type": "session.update", "model": "other"}', "model_not_found"),
        (json.dumps(START), "model_not_validated"),
        (json.dumps(append(b"odd")), "invalid_audio"),
        (json.dumps(append(b"")), "invalid_audio"),
        ('{"type": "input_audio_buffer.append"}', "processing_error"),
        ('{"type": "ping"}', "unknown_event"),
    ],
)
async def test_refusals_leave_the_connection_open(message: str, code: str) -> None:
    async with talking(Script(model="m")) as (_, socket):
        await socket.send(message)
        event = json.loads(await socket.recv())
        assert (event["type"], event["code"]) == ("error", code) and isinstance(event["error"], str)
        await say(socket, UPDATE, START, append(speech([1])), FINISH)
        assert (await until_done(socket))[1]["text"] == text([1])


async def test_a_binary_frame_ends_the_connection() -> None:
    async with talking() as (_, socket):
        await socket.send(b"\0\0")
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_a_wrong_key_is_refused_at_the_handshake() -> None:
    async with ScriptedVllm(Script(api_key="k")) as engine:
        with pytest.raises(InvalidStatus, match="401"):
            await connect(engine.url)
        async with connect(engine.url, additional_headers={"Authorization": "Bearer k"}):
            pass


async def test_at_the_end_of_the_context_done_comes_unasked() -> None:
    async with talking(Script(max_model_len=512, delay_steps=6)) as (_, socket):
        await say(socket, UPDATE, START, append(silence(60)))
        deltas, done = await until_done(socket)
    assert len(deltas) == 473 and done["usage"]["total_tokens"] == 512


async def test_above_the_slots_there_is_silence() -> None:
    async with talking(Script(slots=1)) as (engine, first), connect(engine.url) as second:
        await second.recv()
        await say(first, UPDATE, START, append(speech([1])))
        await say(second, UPDATE, START, append(speech([2])), FINISH)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await second.recv()
        assert (engine.seats.taken, engine.seats.waiting) == (1, 1)
        await say(first, FINISH)
        assert (await until_done(second))[1]["text"] == text([2])


async def test_a_client_that_leaves_frees_its_slot() -> None:
    async with ScriptedVllm() as engine:
        async with connect(engine.url) as socket:
            await say(socket, UPDATE, START, append(silence(2)))
            await socket.recv()
            await socket.recv()
            socket.transport.abort()
        await until(lambda: not engine.connections)
        assert (engine.aborted, engine.seats.taken) == (1, 0)


@pytest.mark.parametrize("script", [Script(drop_at=3), Script(die_at=3)], ids=["drop", "die"])
async def test_faults_that_end_the_connection(script: Script) -> None:
    async with talking(script) as (engine, socket):
        await say(socket, UPDATE, START, append(silence(2)))
        with pytest.raises(ConnectionClosed):
            await until_done(socket)
        assert engine.died.is_set() is (script.die_at is not None)


async def test_faults_that_happen_to_one_request() -> None:
    async with talking(Script(error_at=3, only_request=1)) as (_, socket):
        await say(socket, UPDATE, START, append(silence(2)))
        deltas = [json.loads(await socket.recv())["type"] for _ in range(4)]
        assert deltas == ["transcription.delta"] * 3 + ["error"]
        await say(socket, FINISH, START)
        assert (await until_done(socket))[1]["text"] == ""


async def test_blanks_over_speech() -> None:
    async with talking(Script(blank_from=10)) as (_, socket):
        await say(socket, UPDATE, START, append(speech(range(10))), FINISH)
        assert numbers_of((await until_done(socket))[1]["text"]) == [0, 1]


def test_vllm_s_own_flags_are_taken() -> None:
    script, port = parse(["--port=7", "--served-model-name=m", "--max-num-seqs=3", "--enforce-eager", "--stall-at=2"])
    assert (port, script.model, script.slots, script.stall_at) == (7, "m", 3, 2)
