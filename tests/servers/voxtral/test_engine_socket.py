"""A request over vLLM's wire, against the scripted engine on a real socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from servers.voxtral.engine.http_get import route
from servers.voxtral.engine.place import Place, free_port
from servers.voxtral.engine.pulse import Pulse
from servers.voxtral.engine.smoke import smoke
from servers.voxtral.engine.socket import VllmRequest
from servers.voxtral.interfaces import Delta, Done, EngineGone, EngineRefused
from tests.servers.voxtral.engine_folder import until
from tests.servers.voxtral.marked_speech import silence, speech, text
from tests.servers.voxtral.scripted_vllm import Script, ScriptedVllm

pytestmark = pytest.mark.slow


@asynccontextmanager
async def beginning(
    script: Script | None = None, *, key: str = "", model: str = "m"
) -> AsyncIterator[tuple[ScriptedVllm, VllmRequest]]:
    async with ScriptedVllm(script) as engine:
        request = await VllmRequest.begin(engine.url, key=key, model=model, pulse=Pulse())
        try:
            yield engine, request
        finally:
            await request.abort()


async def all_of(request: VllmRequest) -> list[Delta | Done]:
    return [event async for event in request.events()]


async def test_audio_in_deltas_and_done_out() -> None:
    async with beginning(Script(api_key="k", model="m"), key="k") as (_, request):
        await request.send(speech(range(10)))
        await request.finish()
        *deltas, done = await all_of(request)
    assert isinstance(done, Done) and done.text == text(range(10)) and done.usage["completion_tokens"] == len(deltas)
    assert "".join(one.text for one in deltas) == done.text


async def test_deltas_come_while_audio_still_comes() -> None:
    async with beginning(Script(delay_steps=1)) as (_, request):
        await request.send(speech([5]) + silence(0.2))
        async for event in request.events():
            if event.text:
                break
    assert event == Delta(text([5]))


@pytest.mark.parametrize(("key", "model"), [("wrong", "m"), ("", "m")])
async def test_a_wrong_key_is_a_refusal(key: str, model: str) -> None:
    with pytest.raises(EngineRefused, match="401"):
        async with beginning(Script(api_key="k"), key=key, model=model):
            pass


async def test_a_wrong_model_is_a_refusal() -> None:
    async with beginning(Script(model="m"), model="other") as (_, request):
        with pytest.raises(EngineRefused, match="model_not_found"):
            await all_of(request)


async def test_nobody_there_is_gone_and_a_reason_for_doubt() -> None:
    pulse = Pulse()
    with pytest.raises(EngineGone):
        await VllmRequest.begin(f"ws://127.0.0.1:{free_port()}/v1/realtime", key="", model="m", pulse=pulse)
    assert pulse.doubt.is_set()


@pytest.mark.parametrize("script", [Script(drop_at=2), Script(die_at=2)], ids=["drop", "die"])
async def test_a_lost_connection_is_gone(script: Script) -> None:
    async with beginning(script) as (_, request):
        await request.send(silence(2))
        with pytest.raises(EngineGone):
            await all_of(request)
        with pytest.raises(EngineGone):
            await request.send(silence(0.1))


async def test_an_error_event_is_a_refusal() -> None:
    async with beginning(Script(error_at=2)) as (_, request):
        await request.send(silence(2))
        with pytest.raises(EngineRefused, match="processing_error: EngineCore"):
            await all_of(request)


async def test_the_last_words_of_a_dying_engine_are_no_refusal() -> None:
    async with beginning(Script(error_at=2, unhealthy=True)) as (_, request):
        await request.send(silence(2))
        with pytest.raises(EngineGone, match="died"):
            await all_of(request)


async def test_abort_frees_the_seat_at_any_time_and_may_be_repeated() -> None:
    async with ScriptedVllm() as engine:
        place = Place(engine.url, "m")
        for part in (b"", silence(0.08), silence(2)):
            request = await place.begin()
            if part:
                await request.send(part)
            await request.abort()
            await request.abort()
        await until(lambda: not engine.connections and engine.seats.taken == 0)
        assert not place.pulse.doubt.is_set()


async def test_abort_ends_whoever_listens() -> None:
    async with beginning() as (_, request):
        listening = asyncio.create_task(all_of(request))
        await asyncio.sleep(0.05)
        await request.abort()
        with pytest.raises(EngineGone, match="was aborted"):
            await listening


async def test_an_unread_request_holds_little_and_loses_nothing() -> None:
    """Its events wait in the engine: the socket is not read beyond a few."""
    async with beginning() as (_, request):
        for _ in range(60):
            await request.send(silence(10))
        await request.finish()
        await asyncio.sleep(0.3)
        assert len(request._socket.recv_messages.frames) < 4000
        events = await all_of(request)
    assert len(events) == 600 * 12.5 + 10 + 1


async def test_sound_text_and_keys_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with ScriptedVllm(Script(api_key="k-secret")) as engine:
        caplog.clear()
        logging.getLogger("websockets.server").setLevel(logging.WARNING)
        await smoke(Place(engine.url, "m", "k-secret").begin, timeout_s=10)
    assert "k-secret" not in caplog.text and "input_audio" not in caplog.text and "delta" not in caplog.text


async def test_a_second_of_sound_proves_an_engine() -> None:
    async with ScriptedVllm() as engine:
        assert 0 < await smoke(Place(engine.url, "m").begin, timeout_s=10) < 10
        engine.script = Script(stall_at=3)
        with pytest.raises(TimeoutError):
            await smoke(Place(engine.url, "m").begin, timeout_s=0.2)
        engine.script = Script(error_at=3)
        with pytest.raises(EngineRefused):
            await smoke(Place(engine.url, "m").begin, timeout_s=10)
        await until(lambda: engine.seats.taken == 0)


async def test_plain_routes_of_the_same_engine() -> None:
    async with ScriptedVllm(Script(unhealthy=True)) as engine:
        place = Place(engine.url, "m")
        assert (await place.get("/health", timeout_s=5))[0] == 503
        assert (await place.get("/nowhere", timeout_s=5))[0] == 404
        assert await place.version() == ""
    with pytest.raises(OSError, match="refused"):
        await place.get("/health", timeout_s=5)


def test_the_address_of_a_route() -> None:
    assert route("wss://h:1/v1/realtime?x=1", "/health") == "https://h:1/health"
