"""How a stream is refused or ends before its time, and what the operator sees of all of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from tests.servers.fastconformer.conftest import Running, Start, dial, floats, pcm
from tests.servers.fastconformer.fake import DEADLY, FIRST, POISON, words_of
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def server(start: Start) -> Running:
    return start()


@pytest.mark.parametrize(
    ("first", "named"),
    [
        (b"\0\0", "op"),
        ("no json", "message"),
        ("[1]", "message"),
        ("[" * 4000, "message"),
        ('{"op": "init", "sid": NaN}', "message"),
        ('{"op": "start"}', "op"),
        ('{"op": "init", "sid": {}}', "sid"),
        ('{"op": "init", "sid": true}', "sid"),
        ('{"op": "init", "sid": "%s"}' % ("x" * 300), "sid"),
        ('{"op": "init", "sid": 1e400}', "sid"),
        ('{"op": "init", "sr": "16000"}', "sr"),
        ('{"op": "init", "sr": 7999}', "sr"),
        ('{"op": "init", "sr": 48001}', "sr"),
        ('{"op": "init", "pad": "%s"}' % ("x" * 5000), "message"),
    ],
)
async def test_what_is_no_init_is_refused_with_1002(server: Running, first: Any, named: str) -> None:
    async with dial(server, additional_headers={"X-Request-ID": "r-1"}) as call:
        await call.ws.send(first)
        assert await call.end() == 1002
    (row,) = call.rows
    assert (row["op"], row["sid"], row["code"]) == ("error", "r-1", "bad_input")
    assert row["message"].startswith(f"{named}: ")
    assert call.reason.startswith(f"{named}: ")
    assert server.free == 4


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("hello", "message"),
        ('{"op": "stop"}', "op"),
        ('{"op": "init"}', "op"),
        ('{"op": "flush", "sid": "another"}', "sid"),
        ('{"text": "audio as text"}', "op"),
    ],
)
async def test_a_text_that_is_no_operation_ends_with_1007(server: Running, text: str, named: str) -> None:
    async with dial(server, init={"sid": "a"}) as call:
        await call.ws.send(text)
        assert await call.end() == 1007
    assert (call.rows[-1]["op"], call.rows[-1]["sid"]) == ("error", "a")
    assert call.rows[-1]["message"].startswith(f"{named}: ")
    await until(lambda: server.free == 4)


async def test_a_stream_that_ends_within_a_sample_gets_its_text_and_1007(server: Running) -> None:
    audio = pcm(0.4)
    async with dial(server, init={}) as call:
        await call.say(audio + b"\x01")
        assert await call.close() == 1007
    ops = [row["op"] for row in call.rows]
    assert ops.count("error") == 1 and ops[-2:] == ["interim", "final"]
    assert call.of("error")[0]["message"].startswith("audio: ")
    assert call.final == words_of(floats(audio))


async def test_a_flush_within_a_sample_says_so_and_goes_on(server: Running) -> None:
    turns = [pcm(0.3, seed=1), pcm(0.3, seed=2)]
    async with dial(server, init={}) as call:
        await call.say(turns[0] + b"\x01")
        await call.tell("flush")
        while (row := await call.hear())["op"] != "error":
            pass
        assert row["code"] == "bad_input"
        await call.say(turns[1])
        assert await call.close() == 1000
    assert call.final == words_of(*map(floats, turns))


async def test_a_client_that_says_nothing_is_closed(start: Start) -> None:
    server = start(idle_timeout_s=0.3)
    async with dial(server, init={"sid": "a"}) as call:
        await call.say(pcm(0.1))
        assert await call.end() == 4000
    assert (call.rows[-1]["op"], call.rows[-1]["code"]) == ("error", "idle_timeout")
    assert server.free == 4


async def test_a_client_without_an_init_is_closed(start: Start) -> None:
    async with dial(start(idle_timeout_s=0.3)) as call:
        assert await call.end() == 4000
    assert call.rows[-1]["code"] == "idle_timeout"


async def test_whoever_speaks_is_not_idle(start: Start) -> None:
    async with dial(start(idle_timeout_s=0.4), init={}) as call:
        for _ in range(8):
            await call.say(pcm(0.02))
            await asyncio.sleep(0.1)
        assert await call.close() == 1000


async def test_a_stream_too_many_is_refused_and_the_seat_comes_back(start: Start) -> None:
    server = start(max_streams=1)
    async with dial(server, init={"sid": "a"}) as first:
        await until(lambda: server.free == 0)
        async with dial(server, init={"sid": "b"}) as second:
            assert await second.end() == 1013
        assert (second.rows[0]["sid"], second.rows[0]["code"]) == ("b", "at_capacity")
        assert await first.close() == 1000
    async with dial(server, init={"sid": "b"}) as third:
        assert await third.close() == 1000


async def test_a_bad_row_ends_its_own_stream_only(server: Running) -> None:
    audio = pcm(1.0)
    bad = np.full(FIRST, POISON, np.int16).tobytes()
    async with dial(server, init={"sid": "good"}) as good, dial(server, init={"sid": "bad"}) as other:
        server.ears.gate.clear()
        await good.say(audio)
        await other.say(bad)
        await asyncio.sleep(0.05)
        server.ears.gate.set()
        assert await other.end() == 1011
        assert await good.close() == 1000
    assert (other.rows[-1]["sid"], other.rows[-1]["code"]) == ("bad", "inference_failed")
    assert good.final == words_of(floats(audio))
    assert server.get("/health").status_code == 200


async def test_a_lost_model_ends_all_and_health_says_so(server: Running) -> None:
    async with dial(server, init={}) as one, dial(server, init={}) as other, dial(server) as late:
        await until(lambda: server.free == 2)
        await one.say(np.full(FIRST, DEADLY, np.int16).tobytes())
        assert await one.end() == await other.end() == 1011
        await late.tell("init")
        assert await late.end() == 1013
    assert late.rows[-1]["code"] == "not_ready"
    assert (server.get("/health").status_code, server.get("/health").json()["ok"]) == (503, False)
    with pytest.raises(InvalidStatus) as refusal:
        async with dial(server):
            pass
    assert refusal.value.response.status_code == 503


async def test_a_key_is_asked_for_before_the_upgrade(start: Start) -> None:
    server = start(api_key="secret")
    for url in (server.ws, f"{server.ws}?api_key=wrong"):
        with pytest.raises(InvalidStatus) as refusal:
            async with dial(url):
                pass
        assert refusal.value.response.status_code == 401
    async with dial(f"{server.ws}?api_key=secret", init={}) as call:
        assert await call.close() == 1000
    async with dial(server, init={}, additional_headers={"Authorization": "Bearer secret"}) as call:
        assert await call.close() == 1000


async def test_the_operator_sees_the_model_and_its_steps(server: Running) -> None:
    async with dial(server, init={}) as call:
        await call.say(pcm(0.5))
        await call.tell("flush")
        await call.hear()
        assert server.get("/health").json() == {"ok": True, "seats": {"total": 4, "free": 3}}
        await call.close()
    status = server.status()
    assert status["model"] == {"model_id": "fake", "revision": "1", "sha256": ""}
    assert (status["device"], status["decoder"], status["look_ahead_ms"]) == ("fake", "rnnt", 80)
    assert status["steps"] == status["rows"] == status["batch_sizes"]["1"] == server.ears.frames_seen
    shown = server.get("/metrics").text
    for name in ("step_seconds_count", "step_rows_bucket", "streams", "seats", "backlog_seconds"):
        assert f"fastconformer_{name}" in shown


async def test_no_other_path_is_a_stream(server: Running) -> None:
    with pytest.raises(InvalidStatus):
        async with dial(f"{server.ws}ws"):
            pass


async def test_each_step_leaves_its_spans(start: Start, tmp_path: Any) -> None:
    trace = tmp_path / "trace.jsonl"
    server = start(trace_path=trace)
    async with dial(server, init={}, additional_headers={"X-Request-ID": "r-3"}) as call:
        await call.say(pcm(0.5))
        await call.close()
    await until(lambda: trace.read_text().count("step_end") == 4)  # written by a thread of its own, now and then
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    spans = [row for row in rows if row.get("request_id") == "r-3"]
    steps = [row for row in spans if row["event"] == "step_end"]
    assert len(steps) == server.ears.frames_seen == 4
    for event in ("received", "queued", "step_start"):
        stamps = [row["at_s"] for row in spans if row["event"] == event]
        assert len(stamps) == 4 and all(at <= end["at_s"] for at, end in zip(stamps, steps, strict=True))
    assert all((row["slot"], row["batch_size"]) == (0, 1) for row in steps)
