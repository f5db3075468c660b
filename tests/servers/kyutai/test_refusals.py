"""How a stream is refused or ends before its time, and what the operator sees of all of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import msgpack
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.servers.kyutai.conftest import KEY, PATH, Running, Start, dial, noise, packed, packed_audio
from tests.servers.kyutai.fake import DEADLY, DELAY, POISON, say, silence
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("path", [PATH, "/"])
async def test_a_key_is_asked_for_before_the_upgrade(server: Running, path: str) -> None:
    for url, headers in (
        (server.ws(path), {}),
        (server.ws(f"{path}?auth_id=wrong"), {}),
        (server.ws(f"{path}?api_key={KEY}"), {}),
        (server.ws(path), {"kyutai-api-key": "wrong"}),
        (server.ws(path), {"kyutai-api-key": "public_token"}),
        (server.ws(path), {"Authorization": f"Bearer {KEY}"}),
    ):
        with pytest.raises(InvalidStatus) as refusal:
            async with dial(url, key=None, additional_headers=headers):
                pass
        assert refusal.value.response.status_code == 401
        assert json.loads(refusal.value.response.body)["error"]["code"] == "unauthorized"


async def test_every_key_opens_by_header_or_query(start: Start) -> None:
    server = start(api_keys="one, two")
    for key in ("one", "two"):
        async with dial(server, key=key) as call:
            assert (await call.hear())["type"] == "Ready"
        async with dial(server, f"{PATH}?auth_id={key}", key=None) as call:
            assert (await call.hear())["type"] == "Ready"


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (b"garbage", "message"),
        (b"", "message"),
        (msgpack.packb([1, 2]), "message"),
        (packed("Stop"), "type"),
        (packed("Audio", pcm=["0.1"] * 1920), "pcm"),
        (packed("Audio", pcm="AAAA"), "pcm"),
        (packed("Audio", pcm=[0.1] * 100 + [float("nan")]), "pcm"),
        (packed("Audio", pcm=[float("-inf")]), "pcm"),
        (packed("Audio"), "pcm"),
        (packed("Marker", id="a"), "id"),
        (packed("OggOpus", data=b"x" * 100), "type"),
    ],
)
@pytest.mark.usefixtures("neighbour")
async def test_a_bad_message_ends_its_own_stream(server: Running, frame: bytes, field: str) -> None:
    async with dial(server) as call:
        await call.say(say("hey"))
        await call.ws.send(frame)
        await call.say(say("never heard"))
        code = await call.end()
    assert code == (1003 if b"OggOpus" in frame else 1007)  # there is no sphn where these tests run
    (error,) = call.of("Error")
    assert list(error) == ["type", "message"] and error["message"].startswith(f"{field}: ")
    assert call.rows[-1] == error
    await until(lambda: server.free == 3)


@pytest.mark.usefixtures("neighbour")
async def test_a_frame_of_100_megabytes_is_refused_by_its_head(server: Running) -> None:
    async with dial(server) as call:
        with contextlib.suppress(ConnectionClosed):  # the answer may come before all is sent
            await call.ws.send(bytes(100_000_000))
        assert await call.end() == 1009
    await until(lambda: server.free == 3)


@pytest.mark.usefixtures("neighbour")
async def test_a_message_of_megabytes_is_heard(server: Running) -> None:
    async with dial(server) as call:
        await call.ws.send(packed_audio(np.concatenate([say("begin"), noise(60.0), say("end")])))
        assert await call.flush() == 1000
    assert call.final == "begin end"


async def test_a_client_that_says_nothing_is_closed(start: Start) -> None:
    server = start(idle_timeout_s=0.3)
    async with dial(server) as call:
        await call.say(silence(1))
        assert await call.end() == 4000
    assert call.rows[-1]["type"] == "Error"
    assert server.free == 4


async def test_whoever_waits_for_the_model_is_not_idle(start: Start) -> None:
    server = start(idle_timeout_s=0.3, delay_s=0.03)
    async with dial(server) as call:
        await call.say(np.concatenate([say("patience"), silence(30)]))
        await call.tell("Marker", id=1)
        await call.say(silence(DELAY))
        await call.hear_until("Marker", id=1)
        assert await call.end() == 4000
    assert call.words == "patience"


@pytest.mark.usefixtures("neighbour")
async def test_a_bad_row_ends_its_own_stream_only(server: Running) -> None:
    async with dial(server) as good, dial(server) as bad:
        server.listener.gate.clear()
        await good.say(say("all is well"))
        await bad.say(np.full(1920, POISON, np.float32))
        await asyncio.sleep(0.05)
        server.listener.gate.set()
        assert await bad.end() == 1011
        assert await good.flush() == 1000
    assert bad.rows[-1] == {"type": "Error", "message": "the model failed on this stream"}
    assert good.final == "all is well"
    assert server.get("/health").status_code == 200


async def test_a_lost_model_ends_all_and_health_says_so(start: Start) -> None:
    server = start()
    async with dial(server) as one, dial(server) as other, dial(server, "/") as late:
        await until(lambda: server.free == 2)
        await one.say(np.full(1920, DEADLY, np.float32))
        assert await one.end() == await other.end() == 1011
        await late.tell("Init")
        assert await late.end() == 1013
    assert "restarted" in late.rows[-1]["message"]
    assert (server.get("/health").status_code, server.get("/health").json()["ok"]) == (503, False)
    with pytest.raises(InvalidStatus) as refusal:
        async with dial(server):
            pass
    assert refusal.value.response.status_code == 503
    assert server.post(b"x").status_code == 503


async def test_a_stream_with_which_all_would_be_late_is_refused(start: Start) -> None:
    server = start(seats=8)
    server.listener.cost_s = 0.030
    async with dial(server) as one, dial(server) as two:
        await one.hear()
        await two.hear()
        async with dial(server) as three:
            assert await three.end() == 1013
        assert three.rows == [{"type": "Error", "message": "no free channels"}]
        assert server.status()["next_step_s"] == pytest.approx(0.09)
    assert 'kyutai_refused_total{reason="late"} 1.0' in server.get("/metrics").text


async def test_the_first_stream_is_always_taken_and_the_rule_can_be_switched_off(start: Start) -> None:
    server, other = start(), start(refuse_late=False)
    server.listener.cost_s = other.listener.cost_s = 1.0
    async with dial(server) as only, dial(other) as one, dial(other) as two:
        for call in (only, one, two):
            assert (await call.hear())["type"] == "Ready"


async def test_the_operator_sees_the_model_and_its_steps(server: Running) -> None:
    before = server.listener.frames_seen
    async with dial(server) as call:
        await call.say(silence(10))
        await call.hear_until("Step", step_idx=10)
        assert server.get("/health").json() == {"ok": True, "seats": {"total": 4, "free": 3}}
        (info,) = server.get("/api/modules_info").json()
        assert server.status()["lag_s"] > 0
    assert server.listener.frames_seen == before + 10
    assert all(isinstance(value, str) for value in info.values())
    assert list(info)[:6] == ["type", "path", "lm", "audio_tokenizer", "used_slots", "total_slots"]
    assert (info["used_slots"], info["total_slots"], info["extra_heads"]) == ("1", "4", "4")
    status = server.status()
    assert (status["device"], status["pause_heads"], status["delay_steps"]) == ("fake", 4, DELAY)
    assert status["rows"] - status["failed_rows"] == server.listener.frames_seen
    shown = server.get("/metrics").text
    for name in ("step_seconds_count", "step_rows_bucket", "occupancy", "backlog_seconds", "lag_seconds", "seats"):
        assert f"kyutai_{name}" in shown
    assert server.get("/api/build_info").json()["server"] == "kyutai"


async def test_each_step_leaves_its_spans(start: Start, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    server = start(trace_path=trace)
    async with dial(server, additional_headers={"X-Request-ID": "r-3"}) as call:
        await call.say(say("hey"))
        await call.flush()
    await until(lambda: '"sent"' in trace.read_text())  # written by a thread of its own, now and then
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    spans = [row for row in rows if row.get("request_id") == "r-3"]
    steps = [row for row in spans if row["event"] == "step_end"]
    assert len(steps) == server.listener.frames_seen
    for event in ("received", "queued", "step_start"):
        stamps = [row["at_s"] for row in spans if row["event"] == event]
        assert all(at <= end["at_s"] for at, end in zip(stamps, steps, strict=True))
    assert all((row["slot"], row["batch_size"]) == (0, 1) for row in steps)
