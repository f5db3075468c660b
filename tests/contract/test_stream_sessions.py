"""Several utterances on one connection, silence on it, and watching what happens, against `echo`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection

from tests.contract.conftest import ECHO_WIRES, Calls, Echo, StartEcho, sound
from tests.contract.test_stream_faults import server_that
from yapbench import clients
from yapbench.clients.line import Sight
from yapbench.clients.session import Session
from yapbench.clients.websocket import StreamClient
from yapbench.corpus import Utterance
from yapbench.pacing.streaming import StreamOptions
from yapbench.pacing.timer import Pacer
from yapbench.schema import Outcome

FINAL = "the quick brown fox jumps over the lazy dog"
KEEPING_OPEN = [name for name in ECHO_WIRES if clients.CODECS[name].keeps_open]
every_wire = pytest.mark.parametrize("wire", KEEPING_OPEN)
OPTIONS = StreamOptions(frame_ms=40, pace=10, post_wait_s=2)
ONE = Utterance(id="u", duration_s=1.0)


def session(wire: str, url: str, pacer: Pacer, **more: Any) -> Session:
    facts: dict[str, Any] = {"request_id": "r-1", "timeout_s": 2.0, "environment": {}, "options": OPTIONS, **more}
    return Session(clients.CODECS[wire], url, pacer=pacer, **facts)


@every_wire
async def test_two_utterances_on_one_connection(wire: str, echo: Echo, calls: Calls) -> None:
    async with session(wire, echo.url, calls.pacer) as one:
        assert await one.open() is None
        payload = one.prepare(ONE, sound(1.0))
        first = await one.say(payload, intended_ns=time.monotonic_ns())
        assert await one.wait_closed(0.2) is None
        second = await one.say(payload, intended_ns=time.monotonic_ns())
    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.OK)
    assert [exchange.events[-1].text for exchange in (first, second)] == [FINAL, FINAL]
    assert [json.loads(exchange.events[-1].data or "")["utterance"] for exchange in (first, second)] == [0, 1]
    assert (first.events[0].kind == "ready") == clients.CODECS[wire].waits_for_ready
    assert first.connected_ns and not second.connected_ns
    assert len(second.lateness_ns) == 25 and min(second.lateness_ns) >= 0


async def test_nobody_there_a_session_too_many_and_a_server_that_is_never_ready(
    start_echo: StartEcho, calls: Calls
) -> None:
    echo = start_echo("--seats=1")
    with connect(echo.ws):
        async with session("echo_pcm", echo.url, calls.pacer) as one:
            refused = await one.open()
    assert refused is not None and (refused.outcome, refused.status) == (Outcome.REJECTED, 503)
    echo.process.kill()
    echo.process.wait()
    async with session("echo_pcm", echo.url, calls.pacer) as one:
        nobody = await one.open()
    assert nobody is not None and nobody.outcome is Outcome.REFUSED


@contextmanager
def server_that_hangs_up(after_s: float, code: int) -> Iterator[str]:
    def behave(connection: ServerConnection) -> None:
        time.sleep(after_s)
        connection.close(code, "idle")

    with server_that(behave) as url:
        yield url


async def test_a_server_that_hangs_up_on_silence_is_heard(calls: Calls) -> None:
    with server_that_hangs_up(0.3, 4000) as url:
        async with session("echo_pcm", url, calls.pacer) as one:
            assert await one.open() is None
            closing = await one.wait_closed(5)
            late = await one.say(one.prepare(ONE, sound(1.0)), intended_ns=time.monotonic_ns())
    assert closing is not None and (closing.code, closing.reason) == (4000, "idle")
    assert (closing.at_ns - one.last_sent_ns) / 1e9 >= 0.25
    assert (late.outcome, late.status, late.lateness_ns) == (Outcome.DEADLINE, 4000, ())


@pytest.mark.slow
async def test_a_server_that_is_never_ready_is_a_timeout(calls: Calls) -> None:
    with server_that_hangs_up(1, 1000) as url:
        async with session("echo_json", url, calls.pacer, timeout_s=0.3) as one:
            failed = await one.open()
    assert failed is not None and failed.outcome is Outcome.TIMEOUT


async def test_a_server_that_dies_in_a_pause_is_heard(start_echo: StartEcho, calls: Calls) -> None:
    echo = start_echo()
    async with session("echo_pcm", echo.url, calls.pacer) as one:
        assert await one.open() is None
        echo.process.kill()
        closing = await one.wait_closed(5)
    assert closing is not None and closing.code is None


async def test_leaving_early_leaves_nothing_behind(echo: Echo, calls: Calls) -> None:
    async def talk() -> None:
        async with session("echo_pcm", echo.url, calls.pacer) as one:
            await one.open()
            await one.say(one.prepare(ONE, sound(60.0)), intended_ns=time.monotonic_ns())

    before = set(asyncio.all_tasks())
    task = asyncio.create_task(talk())
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() and set(asyncio.all_tasks()) <= before


@every_wire
async def test_an_observer_sees_everything_in_both_directions(wire: str, echo: Echo, calls: Calls) -> None:
    seen: list[Sight] = []
    client = StreamClient(
        clients.CODECS[wire],
        echo.url,
        timeout_s=5,
        environment={},
        options=OPTIONS,
        pacer=calls.pacer,
        observer=seen.append,
    )
    exchange = await client.exchange(client.prepare(ONE, sound(1.0)), "r-1", intended_ns=time.monotonic_ns())
    kinds = [sight.kind for sight in seen]
    assert [kinds.count(kind) for kind in ("dial", "connected", "t0", "frame", "end", "close")] == [1, 1, 1, 25, 1, 1]
    received = [(sight.at_ns, sight.kind, sight.text) for sight in seen if sight.way == "received"]
    assert received == [(event.at_ns, event.kind, event.text) for event in exchange.events]
    frames = [sight.at_ns for sight in seen if sight.kind == "frame"]
    assert frames[0] >= (exchange.sent_ns or 0) and frames == sorted(frames)
