"""What no server should do, said at the level of bytes: a typed outcome, no memory lost, no socket left."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pyarrow as pa
import pytest

from tests.contract.conftest import Calls
from yapbench.clients.interface import Exchange
from yapbench.clients.line import MOST_MESSAGE_BYTES
from yapbench.schema import EVENT, Outcome

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, MORE, CLOSE = 1, 2, 0, 8


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server's half of the handshake."""
    head = await reader.readuntil(b"\r\n\r\n")
    [key] = [line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")]
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


def frame(payload: bytes, kind: int = TEXT, *, last: bool = True) -> bytes:
    """A frame as a server writes it."""
    head = bytes([kind | (0x80 if last else 0)])
    size = len(payload)
    long = b"\x7e" + struct.pack(">H", size) if size < 1 << 16 else b"\x7f" + struct.pack(">Q", size)
    return head + (bytes([size]) if size < 126 else long) + payload


@asynccontextmanager
async def server_that(behave: Behaviour) -> AsyncIterator[str]:
    """Bytes to whoever connects, then silence."""
    tasks = set[asyncio.Task[None]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        with contextlib.suppress(OSError), contextlib.closing(writer):
            await behave(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def call_one_that_says(calls: Calls, *messages: bytes) -> Exchange:
    """Make a call to a server that sends this as soon as it is connected; its exchange can be stored."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        for message in messages:
            writer.write(message)
            await writer.drain()
        await asyncio.sleep(30)

    async with server_that(behave) as url:
        exchange = await calls.make("echo_pcm", url, timeout_s=1.0)
    rows = [{"at_ns": e.at_ns, "kind": e.kind, "text": e.text, "data": e.data} for e in exchange.events]
    assert len(pa.array(rows, EVENT)) + len(pa.array([exchange.error], pa.string()))  # raises for what is no UTF-8
    return exchange


def partial(text: str, **more: object) -> bytes:
    return json.dumps({"type": "partial", "text": text, "request_id": "r-1", **more}).encode()


NOT_WEBSOCKET = {
    "unknown opcodes": b"\xff" * 40,
    "a masked frame": b"\x81\x82\x00\x00\x00\x00{}",
    "a frame of a terabyte": b"\x81\x7f" + struct.pack(">Q", 1 << 40),
    "half a close code": frame(b"\x03", CLOSE),
    "a close reason that is no text": frame(b"\x03\xf3\xff\xff", CLOSE),
}


@pytest.mark.parametrize("said", NOT_WEBSOCKET.values(), ids=NOT_WEBSOCKET)
async def test_bytes_against_the_protocol_are_a_mismatch_not_a_death(calls: Calls, said: bytes) -> None:
    exchange = await call_one_that_says(calls, said)
    assert (exchange.outcome, exchange.status) == (Outcome.PROTOCOL, None)
    assert "not the WebSocket protocol: Received" in (exchange.error or "")


UNREADABLE = {
    "nested too deep": frame(b"[" * 60_000),
    "half of a surrogate pair": frame(partial("\ud800")),
    "a text that is no UTF-8": frame(b"\xff\xfe"),
    "no JSON": frame(b"{"),
}


@pytest.mark.parametrize("said", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_cannot_be_read_is_named_and_can_be_stored(calls: Calls, said: bytes) -> None:
    exchange = await call_one_that_says(calls, said)
    assert exchange.outcome is Outcome.PROTOCOL
    assert "cannot be read" in (exchange.error or "")
    assert [event.kind for event in exchange.events] == ["garbage"]


async def test_an_error_with_half_of_a_surrogate_pair_can_be_stored(calls: Calls) -> None:
    said = {"type": "error", "error": {"code": "x", "message": "\ud800"}}
    exchange = await call_one_that_says(calls, frame(json.dumps(said).encode()))
    assert (exchange.outcome, exchange.error) == (Outcome.SERVER_ERROR, "x: ?")


@pytest.mark.slow
async def test_a_message_in_pieces_is_one_message(calls: Calls) -> None:
    whole = partial("in pieces")
    pieces = [frame(whole[:9], TEXT, last=False), frame(whole[9:20], MORE, last=False), frame(whole[20:], MORE)]
    exchange = await call_one_that_says(calls, *pieces)
    assert [(event.kind, event.text) for event in exchange.events] == [("partial", "in pieces")]


async def test_a_message_without_an_end_is_a_flood(calls: Calls) -> None:
    pieces = [frame(b"x" * 60_000, MORE if number else TEXT, last=False) for number in range(600)]
    exchange = await call_one_that_says(calls, *pieces)
    assert exchange.outcome is Outcome.PROTOCOL
    assert exchange.error == f"flooded: over {MOST_MESSAGE_BYTES} bytes in a message"


@pytest.mark.slow
async def test_few_messages_of_many_bytes_are_a_flood_too(calls: Calls) -> None:
    exchange = await call_one_that_says(calls, *[frame(partial("x" * 4_000_000))] * 30)
    assert exchange.outcome is Outcome.PROTOCOL
    assert "too many bytes" in (exchange.error or "")
    assert len(exchange.events) < 20


async def test_an_upgrade_that_comes_too_late_leaves_no_socket_open(calls: Calls) -> None:
    gone = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.8)
        await upgrade(reader, writer)
        while await reader.read(1024):
            pass
        gone.set()

    async with server_that(behave) as url:
        exchange = await calls.make("echo_pcm", url, timeout_s=0.5)
        assert exchange.outcome is Outcome.TIMEOUT
        async with asyncio.timeout(5):
            await gone.wait()


async def test_an_upgrade_with_a_wrong_answer_says_what_is_wrong(calls: Calls) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Accept: wrong\r\n\r\n")

    async with server_that(behave) as url:
        exchange = await calls.make("echo_pcm", url)
    assert (exchange.outcome, exchange.status) == (Outcome.PROTOCOL, 101)
    assert "sec-websocket-accept" in (exchange.error or "")
