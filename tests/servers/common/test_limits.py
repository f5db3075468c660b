"""Bodies are cut off at the limit however they are sent; seats are given out only as long as there are some."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

from servers.common.app import create_app
from servers.common.errors import Overloaded
from servers.common.limits import Admission, read_body
from servers.common.settings import BaseServerSettings

ServeApp = Callable[[FastAPI], str]


@pytest.fixture
def address(serve_app: ServeApp) -> str:
    router = APIRouter()

    @router.post("/size")
    async def size(request: Request) -> int:
        return len(await read_body(request, limit_bytes=1000, timeout_s=0.5))

    return serve_app(create_app(BaseServerSettings(), routers=[router]))


def chunks(count: int) -> Iterator[bytes]:
    """`count` bytes, sent as a chunked body without Content-Length."""
    for _ in range(count // 100):
        yield b"x" * 100


def raw_exchange(address: str, request: bytes) -> bytes:
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(request)
        return client.recv(65536)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_body_up_to_the_limit_is_read_whole(address: str, size: int) -> None:
    assert httpx.post(f"http://{address}/size", content=b"x" * size).json() == size


def test_a_chunked_body_up_to_the_limit_is_read_whole(address: str) -> None:
    assert httpx.post(f"http://{address}/size", content=chunks(1000)).json() == 1000


def test_a_larger_body_is_refused(address: str) -> None:
    answer = httpx.post(f"http://{address}/size", content=b"x" * 1001)
    assert (answer.status_code, answer.json()["error"]["limit"]) == (413, 1000)


def test_a_larger_chunked_body_is_refused(address: str) -> None:
    answer = httpx.post(f"http://{address}/size", content=chunks(1_000_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_declared_length_is_refused_before_a_byte_is_read(address: str) -> None:
    answer = raw_exchange(address, b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_client_that_stops_in_mid_body_gets_408(address: str) -> None:
    answer = raw_exchange(address, b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_leaves_in_mid_body_harms_nobody(address: str) -> None:
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert httpx.post(f"http://{address}/size", content=b"x").json() == 1


def test_without_a_seat_one_is_refused_at_once() -> None:
    admission = Admission(limit=2, what="sessions")
    with admission.seat(), admission.seat():
        with pytest.raises(Overloaded, match="2 sessions") as refusal, admission.seat():
            pass
        assert refusal.value.limit == 2
    assert (admission.in_flight, admission.rejected) == (0, 1)


def test_a_seat_is_given_back_after_a_failure() -> None:
    admission = Admission(limit=1)
    with pytest.raises(ZeroDivisionError), admission.seat():
        raise ZeroDivisionError
    with admission.seat():
        assert admission.in_flight == 1
