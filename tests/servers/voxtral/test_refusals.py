"""Every error, reason and close code of the contract, and that a bad session harms no other."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed

from servers.voxtral.app import PATH
from servers.voxtral.faults import WireFault, engine_failed
from tests.servers.voxtral.conftest import Running, Start, dial
from tests.servers.voxtral.marked_speech import silence, speech, text
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
async def neighbour(server: Running) -> AsyncIterator[None]:
    """Another session, which whatever happens beside it must not harm."""
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        yield
        await call.say(speech([2]))
        await call.finish()
        assert await call.done() == text([1, 2])


async def refusal(server: Running, path: str = PATH, **options: object) -> tuple[str, str, int]:
    """Code, reason code and close code of a connection that becomes no session."""
    async with dial(server, path, created=False, **options) as call:  # type: ignore[arg-type]
        assert await call.end() > 1000
        code = call.ws.close_code
    (row,) = call.rows
    assert row["type"] == "error" and row["session_id"] and call.ws.close_reason
    return row["payload"]["code"], row["payload"]["reason_code"], code or 0


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (PATH, {}),
        (f"{PATH}?api_key=wrong", {}),
        (PATH, {"X-API-Key": "wrong"}),
        (PATH, {"Authorization": "Basic secret"}),
        (f"{PATH}?key=secret", {}),
    ],
)
async def test_without_the_key(server: Running, path: str, headers: dict[str, str]) -> None:
    told = await refusal(server, path, key=None, additional_headers=headers)
    assert told == ("authentication_failed", "invalid_key", 4001)


async def test_above_capacity(start: Start) -> None:
    server = start(max_connections=2)
    async with dial(server), dial(server) as second:
        assert await refusal(server) == ("server_at_capacity", "too_many_sessions", 4002)
        await second.ws.close()
        await until(lambda: server.used == 1)
        async with dial(server) as third:
            await third.begin()
            await third.finish()
            await third.done()
    assert server.metric('refused_total{reason="too_many_sessions"}') == 1


async def test_before_the_engine_is_there(start: Start) -> None:
    server = start(is_late=True)
    await until(lambda: server.server.started)
    assert await refusal(server) == ("internal_error", "engine_unavailable", 1013)


async def test_all_are_told_at_once_when_the_engine_is_lost(start: Start) -> None:
    server = start(max_connections=32)
    async with contextlib.AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(dial(server)) for _ in range(20)]
        for call in calls[::2]:
            await call.begin()
            await call.say(speech([1]))
            await call.hear_until("transcription.delta")
        server.engine.lose()
        codes = await asyncio.wait_for(asyncio.gather(*(call.end() for call in calls)), 1.0)
    assert codes == [1013] * 20 and not server.hearing.living
    for call in calls:
        assert (call.rows[-1]["type"], call.rows[-1]["payload"]["reason_code"]) == ("error", "engine_unavailable")
        assert call.rows[-1]["request_id"] == ("turn-1" if call in calls[::2] else None)
    assert await refusal(server) == ("internal_error", "engine_unavailable", 1013)
    assert server.metric('errors_total{reason_code="engine_unavailable"}') == 21


@pytest.mark.parametrize("reason", ["engine_stalled", "engine_error", "truncated"])
@pytest.mark.usefixtures("neighbour")
async def test_an_engine_that_fails_one_utterance(server: Running, reason: str) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.hear_until("transcription.delta")
        server.hearing.fail(engine_failed(reason, "the engine failed"))
        error = await call.error()
    assert (error["code"], error["reason_code"]) == ("internal_error", reason)


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        (b"\0\0", "invalid_message", "binary_frame"),
        (b"", "invalid_message", "binary_frame"),
        ("", "invalid_message", "not_json"),
        ("nonsense", "invalid_message", "not_json"),
        ("[1]", "invalid_message", "not_an_object"),
        ("{}", "invalid_message", "missing_type"),
        ('{"type":"StartSTT"}', "invalid_message", "unknown_type"),
        ('{"type":"end","request_id":1}', "invalid_message", "invalid_id"),
        ('{"type":"input_audio_buffer.commit","payload":{"final":true}}', "invalid_message", "not_started"),
        ('{"type":"cancel","payload":"now"}', "invalid_payload", "wrong_type"),
        ('{"type":"session.update","payload":{"model":"x"}}', "invalid_payload", "unsupported_model"),
        ('{"type":"session.update","payload":{"language":"en"}}', "invalid_payload", "unsupported_field"),
        ('{"type":"input_audio_buffer.append","payload":{"audio":"?"}}', "invalid_payload", "invalid_audio"),
        (json.dumps({"type": "ping", "payload": "x" * 70_000}), "invalid_payload", "payload_too_large"),
    ],
)
@pytest.mark.usefixtures("neighbour")
async def test_a_bad_message_is_named_and_the_session_goes_on(
    server: Running, frame: str | bytes, code: str, reason: str
) -> None:
    async with dial(server) as call:
        await call.ws.send(frame)
        error = await call.error()
        assert (error["code"], error["reason_code"]) == (code, reason)
        await call.begin()
        await call.say(speech([3]))
        await call.finish()
        assert await call.done() == text([3])


async def test_messages_that_do_not_fit_the_moment(server: Running) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.begin()
        assert (await call.error())["reason_code"] == "already_started"
        await call.say(silence(0.08), request_id="other")
        error = await call.error()
        assert (error["reason_code"], call.rows[-1]["request_id"]) == ("request_id_mismatch", "other")
        assert error["details"] == {"field": "request_id", "value": "other", "limit": "turn-1"}
        server.hearing.holds_done = True
        await call.finish()
        await call.finish()
        assert (await call.error())["reason_code"] == "already_finishing"


async def test_too_much_audio_in_one_message(start: Start) -> None:
    server = start(max_append_s=0.5)
    async with dial(server) as call:
        await call.say(silence(0.6), portion=100_000)
        error = await call.error()
        assert (error["code"], error["reason_code"]) == ("invalid_payload", "audio_too_long")
        assert (error["details"]["field"], error["details"]["limit"]) == ("audio", 0.5)


async def test_a_flood_of_messages_is_refused_and_not_answered_by_one(start: Start) -> None:
    server = start(max_messages_per_window=100, message_window_s=60)
    async with dial(server) as call:
        for _ in range(1000):
            await call.tell("ping")
        errors = [await call.error()]
        while sum(error["details"]["refused"] for error in errors) < 900:  # one a second tells of those since the last
            errors.append(await call.error())
    first = errors[0]
    assert (first["code"], first["reason_code"]) == ("rate_limited", "message_rate_limited")
    assert (first["details"]["limit"], first["details"]["window_s"]) == (100, 60.0)
    assert 0 < first["details"]["retry_after_s"] <= 60
    assert sum(error["details"]["refused"] for error in errors) == 900 and len(errors) < 100
    assert len(call.of("pong")) == 100


async def test_too_many_cancels(start: Start) -> None:
    server = start(max_cancels_per_window=2)
    async with dial(server) as call:
        for _ in range(3):
            await call.tell("cancel")
        error = await call.error()
        assert (error["code"], error["reason_code"]) == ("rate_limited", "cancel_rate_limited")
        await call.begin()
        await call.begin("turn-2")  # a barge-in is one too
        assert (await call.error())["reason_code"] == "cancel_rate_limited"
        await call.say(speech([5]), request_id="turn-1")
        await call.tell("input_audio_buffer.commit", {"final": True}, request_id="turn-1")
        assert await call.done() == text([5])
    assert len(call.of("cancelled")) == 2


async def test_a_full_queue(start: Start) -> None:
    server = start(inbound_queue_max=3)
    async with dial(server) as call:
        await call.say(silence(0.08 * 10))
        errors = [await call.error(), await call.error()]
        assert {(one["code"], one["reason_code"]) for one in errors} == {("server_at_capacity", "inbound_queue_full")}
        assert sum(one["details"]["refused"] for one in errors) == 7
        await call.begin()
        await call.finish()
        await call.done()
    assert server.hearing.fed_bytes == 3 * 2560


async def test_a_full_queue_of_the_running_utterance(start: Start) -> None:
    server = start()
    server.hearing.full = WireFault("server_at_capacity", "inbound_queue_full", "full", limit=256)
    async with dial(server) as call:
        await call.begin()
        await call.say(silence(0.08 * 5))
        error = await call.error()
        assert (error["code"], error["reason_code"]) == ("server_at_capacity", "inbound_queue_full")


async def test_the_oldest_of_too_much_held_audio_is_dropped_and_told(start: Start) -> None:
    server = start(inbound_audio_max_s=1.0)
    async with dial(server) as call:
        await call.say(silence(1.0) + speech([1, 2]))
        dropped = 0.0
        while dropped < 0.8 - 1e-6:
            row = await call.hear_until("status")
            assert row["payload"]["kind"] == "overload_drop"
            dropped += row["payload"]["dropped_seconds"]
        await call.begin()
        await call.finish()
        assert await call.done() == text([1, 2])
    assert dropped == pytest.approx(0.8) and len(call.of("status")) == 2
    assert server.metric("held_dropped_seconds_total") == pytest.approx(0.8)


@pytest.mark.usefixtures("neighbour")
async def test_a_frame_of_20_megabytes_is_refused_by_its_head(server: Running) -> None:
    async with dial(server) as call:
        with contextlib.suppress(ConnectionClosed):  # the answer may come before all is sent
            await call.ws.send("x" * 20_000_000)
        assert await call.end() == 1009
    await until(lambda: server.used == 1)


async def test_every_error_has_the_same_shape(server: Running) -> None:
    async with dial(server) as call:
        for frame in ("?", b"?", '{"type":"x"}', '{"type":"input_audio_buffer.append"}'):
            await call.ws.send(frame)
            assert isinstance((await call.error())["details"], dict)


async def test_who_is_gone_is_aborted_at_once(server: Running) -> None:
    server.hearing.is_mute = True
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await until(lambda: server.hearing.living)
        call.ws.transport.abort()
        await until(lambda: not server.hearing.living, within_s=1.0)
    await until(lambda: server.used == 0)
