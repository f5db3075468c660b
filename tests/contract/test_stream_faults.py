"""Every fault of a streaming server has its own outcome, on every wire, and ends within the time limit and a second."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from tests.contract.conftest import Calls, StartEcho
from yapbench.clients.interface import Exchange
from yapbench.schema import Outcome

pytestmark = pytest.mark.slow  # seconds each, waiting for real time

SECOND_NS = 1_000_000_000


def check_end(exchange: Exchange, *, timeout_s: float) -> None:
    """It ended within its limit and one second more."""
    since_ns = max(exchange.owed_ns or 0, exchange.connect_start_ns or 0)
    assert exchange.ended_ns - since_ns <= (timeout_s + 1) * SECOND_NS


FAULTS = [
    ("--never-final-rate=1", Outcome.NO_FINAL, None, "but the server is there"),
    ("--delay-ms=3000", Outcome.NO_FINAL, None, "no final within 1 s"),
    ("--garbage-rate=1", Outcome.PROTOCOL, None, "cannot be read"),
    ("--wrong-rate=1", Outcome.WRONG_RESULT, None, "the final is for 'another-session'"),
    ("--drop-rate=1", Outcome.SERVER_ERROR, 1011, "closed with 1011"),
    ("--error-rate=1", Outcome.SERVER_ERROR, None, "scripted_error: scripted error"),
    ("--half-close-rate=1", Outcome.SERVER_DIED, 1006, "without a close frame"),
]


@pytest.mark.parametrize(("flag", "outcome", "status", "words"), FAULTS, ids=[fault[0] for fault in FAULTS])
async def test_a_fault_has_its_outcome(
    start_echo: StartEcho, calls: Calls, flag: str, outcome: Outcome, status: int | None, words: str
) -> None:
    found = await calls.on_every_wire(start_echo(flag).url, seconds=0.4, post_wait_s=1.0)
    for exchange in found.values():
        assert (exchange.outcome, exchange.status) == (outcome, status)
        assert words in (exchange.error or "")
        assert len(exchange.lateness_ns) == 10
        assert [event.text for event in exchange.events if event.kind == "partial"] == ["the"]  # what came is kept
        check_end(exchange, timeout_s=1.0)


async def test_a_slow_answer_within_the_limit_is_an_answer(start_echo: StartEcho, calls: Calls) -> None:
    found = await calls.on_every_wire(start_echo("--delay-ms=700").url, seconds=0.4)
    for exchange in found.values():
        assert exchange.outcome is Outcome.OK
        assert exchange.ended_ns - (exchange.owed_ns or 0) >= 0.69 * SECOND_NS  # its timer has a grain of 1 ms


async def test_a_frozen_server_is_a_timeout(start_echo: StartEcho, calls: Calls) -> None:
    url = start_echo("--stall-at-s=0.2", "--stall-for-s=30").url
    found = await calls.on_every_wire(url, seconds=0.4, pace=1, timeout_s=1.0)
    for exchange in found.values():
        assert exchange.outcome is Outcome.TIMEOUT
        check_end(exchange, timeout_s=1.0)


async def test_a_server_that_dies_in_mid_sentence(start_echo: StartEcho, calls: Calls) -> None:
    echo = start_echo()
    asyncio.get_running_loop().call_later(0.5, echo.process.kill)
    found = await calls.on_every_wire(echo.url, seconds=3.0, pace=1)
    for exchange in found.values():
        assert (exchange.outcome, exchange.status) == (Outcome.SERVER_DIED, 1006)
        assert 0 < len(exchange.lateness_ns) < 75


async def test_nobody_there_is_refused(start_echo: StartEcho, calls: Calls) -> None:
    echo = start_echo()
    echo.process.kill()
    echo.process.wait()
    found = await calls.on_every_wire(echo.url)
    assert {one.outcome for one in found.values()} == {Outcome.REFUSED}
    assert {(one.t0_ns, one.sent_ns, one.lateness_ns) for one in found.values()} == {(None, None, ())}


async def test_a_flood_is_cut_off(start_echo: StartEcho, calls: Calls) -> None:
    exchange = await calls.make("echo_pcm", start_echo("--flood=1000000").url, seconds=1.0, timeout_s=20.0)
    assert exchange.outcome is Outcome.PROTOCOL
    assert "flooded: 20000 messages" in (exchange.error or "")
    assert len(exchange.events) == 20_000


REFUSALS = [
    (["--refusal=http"], 503, "at_capacity: no room: 1 sessions are running"),
    (["--refusal=error"], None, "at_capacity: no room: 1 sessions are running"),
    (["--refusal=close"], 1013, "no room: 1 sessions are running"),
    (["--refusal=close", "--refusal-code=4002"], 4002, "no room: 1 sessions are running"),
]


@pytest.mark.parametrize(("flags", "status", "words"), REFUSALS, ids=[" ".join(one[0]) for one in REFUSALS])
async def test_at_capacity_is_an_outcome_of_its_own(
    start_echo: StartEcho, calls: Calls, flags: list[str], status: int | None, words: str
) -> None:
    echo = start_echo("--seats=1", *flags)
    with connect(echo.ws):
        found = await calls.on_every_wire(echo.url, seconds=0.4)
        for exchange in found.values():
            assert (exchange.outcome, exchange.status, exchange.error) == (Outcome.REJECTED, status, words)


async def test_a_refused_call_is_tried_again_if_asked_for(start_echo: StartEcho, calls: Calls) -> None:
    echo = start_echo("--seats=1")
    with connect(echo.ws) as held:
        asyncio.get_running_loop().call_later(0.5, held.close)
        exchange = await calls.make("echo_pcm", echo.url, seconds=0.4, retries=8)
    assert exchange.outcome is Outcome.OK
    kinds = [event.kind for event in exchange.events]
    assert kinds[0] == "at_capacity"
    assert kinds[-2:] == ["partial", "final"]
    assert (exchange.t0_ns or 0) > exchange.events[kinds.count("at_capacity") - 1].at_ns


@contextmanager
def server_that(behave: object) -> Iterator[str]:
    """A WebSocket server whose every connection is handed to `behave`."""
    with serve(behave, "127.0.0.1", 0, max_queue=1, close_timeout=0.2) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


async def test_a_reader_that_is_too_slow_makes_frames_late_and_is_named(calls: Calls) -> None:
    leave = threading.Event()

    def read_nothing(connection: ServerConnection) -> None:
        leave.wait(30)

    with server_that(read_nothing) as url:
        exchange = await calls.make("echo_json", url, timeout_s=1.0)  # it never says that it is ready
        assert (exchange.outcome, exchange.t0_ns) == (Outcome.TIMEOUT, None)
        assert "not ready within 1 s" in (exchange.error or "")
        fast = await calls.make("echo_pcm", url, seconds=400.0, pace=200, timeout_s=1.0)
        leave.set()
    assert fast.outcome is Outcome.TIMEOUT
    assert "frames in time" in (fast.error or "")
    assert 0 < len(fast.lateness_ns) < 10_000
    check_end(fast, timeout_s=1.0)


async def test_a_close_without_a_final_is_told_from_a_death(calls: Calls) -> None:
    def hang_up(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "partial", "text": "half", "request_id": "r-1"}))
        connection.close(1000)

    with server_that(hang_up) as url:
        exchange = await calls.make("echo_pcm", url, seconds=2.0, pace=1)
    assert (exchange.outcome, exchange.status) == (Outcome.NO_FINAL, 1000)
    assert [event.kind for event in exchange.events] == ["partial", "closed"]


@contextmanager
def network_that_drops(port: int, after_bytes: int) -> Iterator[str]:
    """A relay to `port` that, after so many bytes from the client, lets nothing through and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends: list[socket.socket] = []

        def copy(source: socket.socket, target: socket.socket, limit: float) -> None:
            passed = 0
            try:
                while data := source.recv(4096):
                    passed += len(data)
                    if passed < limit:
                        target.sendall(data)
            except OSError:
                return

        def relay() -> None:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            ends.extend([client, server])
            threading.Thread(target=copy, args=[client, server, after_bytes], daemon=True).start()
            threading.Thread(target=copy, args=[server, client, float("inf")], daemon=True).start()

        thread = threading.Thread(target=relay, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for end in ends:
            end.close()
        thread.join(5)


async def test_a_dropped_network_is_a_timeout(start_echo: StartEcho, calls: Calls) -> None:
    with network_that_drops(start_echo().port, after_bytes=6000) as url:
        exchange = await calls.make("echo_pcm", url, seconds=0.8, timeout_s=1.0)
    assert exchange.outcome is Outcome.TIMEOUT
    assert len(exchange.lateness_ns) == 20
    check_end(exchange, timeout_s=1.0)


async def test_a_server_of_another_kind_is_a_protocol_mismatch(calls: Calls) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    exchange = await calls.make("echo_pcm", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    assert exchange.outcome is Outcome.PROTOCOL
    assert "not a WebSocket" in (exchange.error or "")
