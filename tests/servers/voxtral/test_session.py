"""Sessions on real sockets: what each message brings, in the orders in which clients send them."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers.voxtral.app import PATH
from servers.voxtral.faults import engine_failed
from servers.voxtral.settings import MODEL_ID
from tests.servers.voxtral.conftest import KEY, Call, Running, Start, dial
from tests.servers.voxtral.marked_speech import silence, speech, text
from tests.waiting import until

pytestmark = pytest.mark.slow

COMMIT = "input_audio_buffer.commit"


async def test_one_utterance_as_the_contract_has_it(server: Running) -> None:
    async with dial(server, additional_headers={"X-Request-ID": "call-7"}) as call:
        created = call.rows[0]
        assert (created["session_id"], created["request_id"]) == ("call-7", None)
        assert created["payload"]["id"] == "call-7" and created["payload"]["created"] > 1_700_000_000
        await call.tell("session.update", {"model": "tiny"})
        updated = await call.hear_until("session.updated")
        assert updated["payload"] == {"model": "tiny", "transcription_delay_ms": 400}
        await call.begin()
        await call.say(speech(range(5)), session_id="mine")
        await call.finish()
        assert await call.done() == text(range(5))
        await call.tell("end")
        assert await call.end() == 1000
    assert [row["payload"] for row in call.of("session_end")] == [{"reason": "end"}]
    deltas = call.of("transcription.delta")
    assert len(deltas) == 25 and all(row["request_id"] == "turn-1" for row in deltas)
    assert {row["session_id"] for row in deltas} <= {"call-7", "mine"} and call.rows[-1]["session_id"] == "mine"
    done = call.of("transcription.done")[0]["payload"]
    assert list(done) == ["text", "usage"] and done["usage"]["completion_tokens"] == 25


async def test_neither_update_nor_ids_nor_payloads_are_needed(server: Running) -> None:
    async with dial(server) as call:
        await call.ws.send('{"type":"input_audio_buffer.commit"}')
        call.request_id = None
        await call.say(speech([7]))
        await call.finish()
        assert await call.done() == text([7])
    assert call.rows[-1]["request_id"] is None


UPDATE, START, FINISH = ("session.update", {"model": "tiny"}), (COMMIT, {"final": False}), (COMMIT, {"final": True})
AUDIO = ("input_audio_buffer.append", {"audio": base64.b64encode(speech([1, 2])).decode()})
SEQUENCES = {
    "the contract's": [UPDATE, START, AUDIO, FINISH],
    "update after the start": [START, UPDATE, AUDIO, FINISH],
    "no update": [START, AUDIO, FINISH],
    "update in the midst": [START, AUDIO, UPDATE, FINISH],
    "update twice": [UPDATE, UPDATE, START, AUDIO, FINISH],
    "audio before the start": [UPDATE, AUDIO, START, FINISH],
    "audio before everything": [AUDIO, UPDATE, START, FINISH],
    "started twice": [UPDATE, START, START, AUDIO, FINISH],
    "pings between": [("ping", {}), START, ("ping", {}), AUDIO, ("ping", {}), FINISH, ("ping", {})],
    "cancelled before": [("cancel", {}), START, AUDIO, FINISH],
}


@pytest.mark.parametrize("name", SEQUENCES)
async def test_orders_in_which_clients_speak(server: Running, name: str) -> None:
    async with dial(server) as call:
        for kind, payload in SEQUENCES[name]:  # none of them waits for an answer
            await call.tell(kind, payload)
        while not call.of("transcription.done"):
            await call.hear()
    assert call.deltas("turn-1") == call.of("transcription.done")[0]["payload"]["text"] == text([1, 2])
    assert len(call.of("session.updated")) == SEQUENCES[name].count(UPDATE)


async def test_deltas_come_while_the_client_speaks(server: Running) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1, 2]))
        while call.deltas("turn-1") != text([1, 2]):
            await call.hear_until("transcription.delta")


async def test_several_utterances_on_one_connection(server: Running) -> None:
    async with dial(server) as call:
        for number in range(4):
            await call.begin(f"turn-{number}")
            await call.say(speech([number]))
            await call.finish()
            assert await call.done() == text([number])


async def test_audio_before_the_start_and_behind_the_final_is_not_lost(server: Running) -> None:
    async with dial(server) as call:
        await call.say(speech([1]), request_id=None)
        await call.begin()
        await call.say(speech([2]))
        server.hearing.holds_done = True
        await call.finish()
        await call.say(speech([3]), request_id=None)
        await call.begin("turn-2")
        await call.say(speech([4]))
        server.hearing.release()
        assert await call.done() == text([1, 2])
        await call.finish()
        assert await call.done() == text([3, 4])


async def test_barge_in(server: Running) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.begin("turn-2")
        await call.say(speech([2]))
        await call.finish()
        row = await call.hear_until("cancelled")
        assert (row["request_id"], row["payload"]) == ("turn-1", {"reason": "barge_in"})
        assert await call.done() == text([2])


async def test_a_storm_of_barge_ins_leaves_one(start: Start) -> None:
    server = start(max_cancels_per_window=0)
    async with dial(server) as call:
        for number in range(300):
            await call.begin(f"turn-{number}")
            await call.say(silence(0.08))
        await call.say(speech([9]))
        await call.finish()
        assert await call.done() == text([9])
    assert [row["request_id"] for row in call.of("cancelled")] == [f"turn-{number}" for number in range(299)]
    assert (server.hearing.begun, server.hearing.aborted, len(server.hearing.living)) == (300, 299, 0)


async def test_cancel(server: Running) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.tell("cancel", {"reason": "changed my mind"})
        assert (await call.hear_until("cancelled"))["payload"] == {"reason": "changed my mind"}
        assert not server.hearing.living
        await call.tell("cancel")
        assert (await call.hear_until("cancelled"))["payload"] == {"reason": "client"}
        await call.begin("turn-2")
        await call.finish()
        assert await call.done() == ""


async def test_a_ping_is_answered_at_once_also_while_the_engine_is_silent(server: Running) -> None:
    server.hearing.is_mute = True
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.tell("ping", {"n": 1, "text": "ü"})
        row = await call.hear()
        assert (row["type"], row["request_id"], row["payload"]) == ("pong", "turn-1", {"n": 1, "text": "ü"})


async def test_end_finishes_what_runs(server: Running) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1, 2]))
        await call.tell("end")
        await call.tell("ping")  # too late
        assert await call.done() == text([1, 2])
        assert await call.end() == 1000
    assert call.rows[-1]["type"] == "session_end" and not call.of("pong")


async def test_what_does_not_come_after_end_is_given_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.voxtral.session.connection.END_S", 0.2)
    server = start()
    server.hearing.holds_done = True
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.tell("end")
        assert await call.end() == 1000
    assert [row["type"] for row in call.rows[-2:]] == ["cancelled", "session_end"]
    assert (call.rows[-2]["request_id"], call.rows[-2]["payload"]) == ("turn-1", {"reason": "end"})


async def test_a_failed_utterance_is_not_the_end_of_the_session(server: Running) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.hear_until("transcription.delta")
        server.hearing.fail(engine_failed("engine_stalled", "the engine fell silent"))
        assert (await call.error())["reason_code"] == "engine_stalled"
        assert call.rows[-1]["request_id"] == "turn-1"
        await call.say(speech([2]))
        await call.begin("turn-2")
        await call.say(speech([3]))
        await call.finish()
        assert await call.done() == text([3])


async def test_a_status_of_the_utterance_is_passed_on(server: Running) -> None:
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.hear_until("transcription.delta")
        server.hearing.notice("overload_drop", {"dropped_seconds": 1.5})
        row = await call.hear_until("status")
        assert row["payload"] == {"kind": "overload_drop", "dropped_seconds": 1.5}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"{PATH}?api_key={KEY}", {}),
        (PATH, {"X-API-Key": KEY}),
        (PATH, {"Authorization": f"Bearer {KEY}"}),
        (f"{PATH}?api_key=other", {"X-API-Key": KEY}),
    ],
)
async def test_a_key_opens_wherever_it_stands(server: Running, path: str, headers: dict[str, str]) -> None:
    async with dial(server, path, key=None, additional_headers=headers) as call:
        assert call.rows[0]["type"] == "session.created"


async def test_the_operator_sees_seats_sessions_and_latencies(start: Start) -> None:
    server = start(max_connections=3, served_model_name=MODEL_ID, transcription_delay_ms=480)
    async with dial(server) as call:
        await call.begin()
        await call.say(speech([1]) + silence(0.16))
        await call.finish()
        await call.done()
        assert server.get("/health").json() == {"ok": True, "seats": {"total": 3, "used": 1, "free": 2}}
        status = server.get("/status").json()
    assert status["engine"] == {"available": True, "state": "ready", "device": "fake"}
    assert (status["transcription_delay_ms"], status["served_model_name"]) == (480, MODEL_ID)
    assert status["settings"]["api_key"] == "***" and status["model"]["model_id"] == "fake"
    await until(lambda: server.used == 0)
    assert server.metric("first_delta_seconds_count") == server.metric("final_to_done_seconds_count") == 1
    assert server.metric("deltas") == 7
    assert server.metric("empty_delta_ratio") == pytest.approx(6 / 7)
    assert server.metric('sessions_ended_total{reason="gone"}') == 1
    assert server.get("/healthz").json() == {"status": "ok"}


async def test_ready_follows_the_engine(start: Start) -> None:
    server = start(is_late=True)
    await until(lambda: answer(server, "/ready") == (503, {"ready": False, "state": "starting"}))
    assert answer(server, "/healthz") == (200, {"status": "ok"})
    server.engine.come()
    await until(lambda: answer(server, "/ready") == (200, {"ready": True, "state": "ready"}))
    server.engine.lose()
    await until(lambda: answer(server, "/ready")[0] == 503)
    server.engine.come()
    await until(lambda: answer(server, "/ready")[0] == 200)
    async with dial(server) as call:
        await call.begin()
        await call.finish()
        assert await call.done() == ""


def answer(server: Running, path: str) -> tuple[int, Any]:
    """Status and body; 0 while nobody listens."""
    try:
        found = server.get(path)
    except httpx.TransportError:
        return 0, None
    return found.status_code, found.json()


async def test_a_trace_has_every_message_and_every_result(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    server = start(trace_path=trace)
    async with dial(server, additional_headers={"X-Request-ID": "r-3"}) as call:
        await call.begin()
        await call.say(speech([1]))
        await call.finish()
        await call.done()
    await until(lambda: trace.read_text().count('"sent"') == 6)
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    of = {name: [row["at_s"] for row in rows if row.get("event") == name] for name in ("received", "queued", "sent")}
    assert {row["request_id"] for row in rows if "request_id" in row} == {"r-3"}
    assert len(of["received"]) == len(of["queued"]) == 5
    assert all(a <= b for a, b in zip(of["received"], of["queued"], strict=True)) and of["sent"][-1] > of["queued"][-1]


async def test_sessions_do_not_hear_each_other(server: Running) -> None:
    async def speak(number: int) -> None:
        async with dial(server) as call:
            await asyncio.sleep(number * 0.003)
            for turn in range(3):
                await call.begin(f"{number}-{turn}")
                for word in range(5):
                    await call.say(speech([100 * number + word]))
                    await asyncio.sleep(0.002)
                await call.finish()
                assert await call.done() == text(range(100 * number, 100 * number + 5))

    await asyncio.gather(*(speak(number) for number in range(8)))


async def test_the_reader_of_a_call_sees_only_its_own_rows(server: Running) -> None:
    async with dial(server) as one, dial(server) as two:
        await asyncio.gather(utter(one, 1), utter(two, 2))
    assert one.deltas("turn-1") == text([1]) and two.deltas("turn-1") == text([2])


async def utter(call: Call, number: int) -> None:
    await call.begin()
    await call.say(speech([number]))
    await call.finish()
    await call.done()
