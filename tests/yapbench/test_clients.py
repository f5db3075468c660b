"""The smart-turn client stamps honestly and gives every fault its own name."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from yapbench import clients
from yapbench.clients.interface import Exchange
from yapbench.clients.smart_turn import SmartTurnClient
from yapbench.corpus import Utterance
from yapbench.errors import UsageError
from yapbench.schema import Outcome

GOOD: dict[str, Any] = {
    "prediction": 1,
    "probability": 0.9,
    "metrics": {"inference_time": 0.01, "total_time": 0.02, "queue_time": 0.001, "batch_size": 2},
}
CLIP = Utterance(id="a", duration_s=1.0)
AUDIO = np.linspace(-1, 1, 16_000, dtype=np.float32)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/raw", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def user(url: str, *, timeout_s: float = 20.0, **environment: str) -> AsyncIterator[SmartTurnClient]:
    client = SmartTurnClient(url, timeout_s=timeout_s, environment=environment)
    try:
        yield client
    finally:
        await client.close()


async def ask(client: SmartTurnClient, request_id: str = "r-1") -> Exchange:
    return await client.exchange(client.prepare(CLIP, AUDIO), request_id, intended_ns=time.monotonic_ns())


def answering(status: int = 200, body: object = GOOD, headers: dict[str, str] | None = None) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"X-Request-ID": request.headers["X-Request-ID"]} | (headers or {})
        return web.Response(status=status, body=raw, headers=given)

    return handler


async def test_a_good_answer_is_stored_as_it_came() -> None:
    seen: dict[str, Any] = {}

    async def handler(request: web.Request) -> web.Response:
        seen.update(array=np.load(io.BytesIO(await request.read())), headers=dict(request.headers))
        return web.json_response(GOOD, headers={"X-Request-ID": request.headers["X-Request-ID"]})

    async with served(handler) as url, user(url, AUTH_KEY="secret") as client:
        exchange = await ask(client, "r-7")
    assert exchange.outcome is Outcome.OK
    assert json.loads(exchange.events[0].data or "") == GOOD
    assert seen["array"].dtype == np.dtype("<f4")
    assert np.array_equal(seen["array"], AUDIO)
    assert seen["headers"]["X-Request-ID"] == "r-7"
    assert seen["headers"]["Authorization"] == "Key secret"
    assert seen["headers"]["Content-Type"] == "application/octet-stream"


async def test_stamps_come_in_order_and_enclose_the_servers_time() -> None:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(0.1)
        return web.json_response(GOOD)

    async with served(handler) as url, user(url) as client:
        intended_ns = time.monotonic_ns()
        exchange = await client.exchange(client.prepare(CLIP, AUDIO), "r", intended_ns=intended_ns)
    assert exchange.sent_ns is not None
    assert exchange.sent_end_ns is not None
    assert intended_ns <= exchange.sent_ns <= exchange.sent_end_ns
    assert exchange.lateness_ns == (exchange.sent_ns - intended_ns,)
    assert exchange.ended_ns == exchange.events[0].at_ns
    assert exchange.ended_ns - exchange.sent_end_ns >= 99_000_000


async def test_the_last_byte_is_stamped_only_when_it_has_left() -> None:
    reads = asyncio.Event()

    async def slow_reader(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reads.wait()
        writer.close()

    server = await asyncio.start_server(slow_reader, "127.0.0.1", 0, limit=1024)
    port = server.sockets[0].getsockname()[1]
    async with user(f"http://127.0.0.1:{port}", timeout_s=0.5) as client:
        body = bytes(64_000_000)  # more than any socket buffer holds
        exchange = await client.exchange(body, "r", intended_ns=time.monotonic_ns())
    reads.set()
    server.close()
    assert exchange.outcome is Outcome.TIMEOUT
    assert exchange.sent_ns is not None
    assert exchange.sent_end_ns is None


async def test_the_connection_is_kept_and_its_stamps_go_to_the_first_exchange() -> None:
    async with served(answering()) as url, user(url) as client:
        await client.connect()
        connected_ns = time.monotonic_ns()
        first, second = await ask(client), await ask(client)
    assert first.connect_start_ns is not None
    assert first.connected_ns is not None
    assert first.connect_start_ns <= first.connected_ns <= connected_ns
    assert (second.connect_start_ns, second.connected_ns) == (None, None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (503, Outcome.REJECTED),
        (504, Outcome.DEADLINE),
        (400, Outcome.BAD_REQUEST),
        (401, Outcome.BAD_REQUEST),
        (413, Outcome.BAD_REQUEST),
        (500, Outcome.SERVER_ERROR),
        (502, Outcome.SERVER_ERROR),
        (204, Outcome.PROTOCOL),
        (302, Outcome.PROTOCOL),
    ],
)
async def test_a_status_has_its_outcome(status: int, outcome: Outcome) -> None:
    body = {"error": {"code": "some_code", "message": "some words"}}
    async with served(answering(status, body, {"Location": "/"})) as url, user(url) as client:
        exchange = await ask(client)
    assert (exchange.outcome, exchange.status) == (outcome, status)
    if status >= 400:
        assert exchange.error == "some_code: some words"
        assert exchange.events[0].kind == "error"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"\xff\xfe",
        json.dumps(GOOD).encode("utf-16"),
        b"[" * 100_000,
        [],
        GOOD | {"prediction": 2},
        GOOD | {"prediction": True},
        GOOD | {"prediction": None},
        GOOD | {"probability": 1.5},
        GOOD | {"probability": "0.9"},
        b'{"prediction": 1, "probability": NaN, "metrics": {}}',
        GOOD | {"metrics": None},
        GOOD | {"metrics": {"inference_time": 0.1}},
    ],
)
async def test_an_answer_that_the_contract_does_not_allow_is_no_success(body: object) -> None:
    async with served(answering(body=body)) as url, user(url) as client:
        exchange = await ask(client)
    assert exchange.outcome is Outcome.PROTOCOL
    assert exchange.error
    json.loads(exchange.events[0].data or "")  # what came is kept, and is JSON


async def test_an_answer_for_somebody_else_is_a_wrong_result() -> None:
    async with served(answering(headers={"X-Request-ID": "r-2"})) as url, user(url) as client:
        exchange = await ask(client, "r-1")
    assert exchange.outcome is Outcome.WRONG_RESULT
    assert exchange.error == "asked 'r-1', the answer is for 'r-2'"


@pytest.mark.slow
async def test_no_answer_in_time_is_a_timeout_and_the_next_request_works() -> None:
    slow = iter([True, False])

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        if next(slow):
            await asyncio.sleep(2)
        return web.json_response(GOOD)

    async with served(handler) as url, user(url, timeout_s=0.4) as client:
        late, good = await ask(client), await ask(client)
    assert (late.outcome, late.error) == (Outcome.TIMEOUT, "no answer within 0.4 s")
    assert good.outcome is Outcome.OK
    assert good.connected_ns is not None  # the answer to the first must not be taken for the second's


async def test_nobody_there_is_refused() -> None:
    async with served(answering()) as url:
        pass
    async with user(url) as client:
        await client.connect()
        exchange = await ask(client)
    assert exchange.outcome is Outcome.REFUSED
    assert (exchange.sent_ns, exchange.lateness_ns, exchange.events) == (None, (), ())


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (b"", Outcome.SERVER_DIED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Outcome.SERVER_DIED),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Outcome.PROTOCOL),
    ],
)
async def test_a_broken_connection_is_told_from_a_wrong_protocol(words: bytes, outcome: Outcome) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length.group(1)) if length else 0)
        writer.write(words)
        writer.close()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with user(f"http://127.0.0.1:{port}") as client:
        exchange = await ask(client)
    server.close()
    assert exchange.outcome is outcome
    assert exchange.error
    assert exchange.sent_ns is not None


def test_clients_are_found_by_name() -> None:
    assert isinstance(clients.build("echo", "http://x", timeout_s=1.0, environment={}), SmartTurnClient)
    with pytest.raises(UsageError, match="did you mean 'smart_turn'"):
        clients.build("smart_trun", "http://x", timeout_s=1.0)
    with pytest.raises(UsageError, match="must begin with http"):
        clients.build("echo", "localhost:8000", timeout_s=1.0)


async def test_each_wire_takes_its_own_key() -> None:
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request.headers.get("Authorization"))
        return web.json_response(GOOD)

    keys = {"AUTH_KEY": "turn, other", "ECHO_KEY": "echo"}
    async with served(handler) as url:
        for name in ("smart_turn", "echo"):
            client = clients.build(name, url, timeout_s=5.0, environment=keys)
            await client.exchange(client.prepare(CLIP, AUDIO), "r", intended_ns=time.monotonic_ns())
            await client.close()
    assert seen == ["Key turn", "Key echo"]
