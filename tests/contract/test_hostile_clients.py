"""Clients that mean harm, against every server of the catalogue: each is cut off, and the server goes on answering."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from servers.common.heads import MAX_HEAD_BYTES, MAX_HEADERS, MAX_LINE_BYTES
from servers.common.serve import MAX_MESSAGE_BYTES
from tests.contract.hostile_targets import (
    CONNECTIONS,
    HEAD_TIMEOUT_S,
    SOCKETS,
    TARGETS,
    UPLOADS,
    Running,
    check_well,
    everywhere,
    started,
)
from tests.raw_socket import close_code, frame, read_all, read_head, send_while_taken
from yapbench import catalog

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    with started(tmp_path_factory.mktemp("hostile")) as running:
        yield running


@pytest.fixture(params=list(TARGETS))
def server(request: pytest.FixtureRequest, servers: dict[str, Running]) -> Iterator[Running]:
    """Each in turn; whatever was done to it, it answers afterwards."""
    yield servers[request.param]
    check_well(servers[request.param])


def test_every_server_of_the_catalogue_is_attacked_here() -> None:
    assert set(TARGETS) == {entry.name for entry in catalog.CATALOG}


BIG_HEADS = {
    "line": b"X: " + b"a" * (MAX_LINE_BYTES + 1) + b"\r\n\r\n",
    "headers": b"X: a\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    "sum": b"".join(b"X%d: " % n + b"a" * 8000 + b"\r\n" for n in range(9)) + b"\r\n",
    "endless": b"X: " + b"a" * (2 * MAX_HEAD_BYTES),
}


@pytest.mark.parametrize("head", BIG_HEADS)
def test_a_head_too_large_is_431(server: Running, head: str) -> None:
    with server.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n" + BIG_HEADS[head])
        status, _, body = read_all(client).partition(b"\r\n\r\n")
    assert status.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body)["error"]["code"] == "head_too_large"


def test_a_url_too_long_and_no_http_at_all_are_refused(server: Running) -> None:
    for junk, status in (
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b" 431 "),
        (b"\x16\x03\x01\x02\x00", b" 400 "),
    ):
        with server.connect() as client:
            client.sendall(junk)
            assert read_all(client)[8:13] == status


def test_a_head_that_comes_slowly_is_408(servers: dict[str, Running]) -> None:
    def drip(server: Running) -> None:
        with server.connect() as within_a_line, server.connect() as line_by_line:
            for client in (within_a_line, line_by_line):
                client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ")
            for _ in range(12):
                send_while_taken(within_a_line, b"a", times=1)
                send_while_taken(line_by_line, b"X: a\r\n", times=1, pause_s=HEAD_TIMEOUT_S / 8)
            assert read_all(within_a_line).startswith(b"HTTP/1.1 408 ")
            assert read_all(line_by_line).startswith(b"HTTP/1.1 408 ")

    everywhere(servers, list(TARGETS), drip)


def test_who_says_nothing_or_only_empty_lines_is_cut_off(servers: dict[str, Running]) -> None:
    def idle(server: Running) -> None:
        with server.connect() as silent, server.connect() as empty:
            send_while_taken(empty, b"\r\n", times=12, pause_s=HEAD_TIMEOUT_S / 8)
            read_all(empty)
            assert read_all(silent) == b""

    everywhere(servers, list(TARGETS), idle)


def test_a_connection_that_is_kept_alive_may_rest(servers: dict[str, Running]) -> None:
    def rest(server: Running) -> None:
        with server.connect() as client:
            for pause_s in (0.0, 2 * HEAD_TIMEOUT_S):
                time.sleep(pause_s)
                client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                head = read_head(client)
                assert head.startswith(b"HTTP/1.1 200 ")
                client.recv(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))

    everywhere(servers, list(TARGETS), rest)


def test_half_a_request_and_then_half_a_connection_is_closed(server: Running) -> None:
    with server.connect() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost:")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""


def test_one_connection_too_many_is_503(server: Running) -> None:
    clients = [server.connect() for _ in range(CONNECTIONS)]
    try:
        for client in clients[1:]:  # each is known to the server
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            read_head(client)
        with server.connect() as one_more:
            answer = read_all(one_more)
    finally:
        for client in clients:
            client.close()
    assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: 1" in answer


def test_a_body_that_nobody_asked_for_is_not_read_for_ever(servers: dict[str, Running]) -> None:
    def pour(server: Running) -> None:
        with server.connect() as client:
            client.sendall(b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            assert read_head(client).startswith(b"HTTP/1.1 405 ")
            send_while_taken(client, b"1\r\na\r\n", times=100, pause_s=0.1)
            read_all(client)
        check_well(server)

    everywhere(servers, list(TARGETS), pour)


@pytest.mark.parametrize("server", UPLOADS, indirect=True)
def test_a_body_too_large_is_413_by_its_length_and_as_it_comes(server: Running) -> None:
    with server.connect() as declaring, server.connect() as streaming:
        declaring.sendall(server.upload("Content-Length: 1000000000000"))
        assert read_head(declaring).startswith(b"HTTP/1.1 413 ")
        streaming.sendall(server.upload("Transfer-Encoding: chunked"))
        send_while_taken(streaming, b"8000\r\n" + bytes(0x8000) + b"\r\n", times=5)
        assert read_head(streaming).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_comes_slowly_is_408(servers: dict[str, Running]) -> None:
    def drip(server: Running) -> None:
        with server.connect() as client:
            client.sendall(server.upload("Content-Length: 90000"))
            send_while_taken(client, b"a", times=8, pause_s=0.1)
            assert read_head(client).startswith(b"HTTP/1.1 408 ")

    everywhere(servers, UPLOADS, drip)


def test_half_a_head_behind_a_request_waits_for_its_answer(servers: dict[str, Running]) -> None:
    body = io.BytesIO()
    np.save(body, np.full(160, 0.25, "<f4"))
    server = servers["smart_turn"]
    with server.connect() as client:
        size = f"Content-Length: {len(body.getvalue())}"
        client.sendall(server.upload(size) + body.getvalue() + b"GET /health HTTP/1.1\r\nHost:")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200 ") and b'"probability":0.25' in answer
    assert answer.count(b"HTTP/1.1 408 ") == 1


@pytest.mark.parametrize("server", SOCKETS, indirect=True)
def test_a_frame_too_large_is_refused_by_its_head(server: Running) -> None:
    client, _ = server.upgrade()
    with client:
        client.sendall(frame(2, declared=1 << 40))
        assert close_code(read_all(client)) == 1009


@pytest.mark.parametrize("server", SOCKETS, indirect=True)
def test_a_message_too_large_in_fragments_is_refused(server: Running) -> None:
    client, _ = server.upgrade()
    part = bytes(1 << 20)
    with client:
        with suppress(ConnectionError):
            client.sendall(frame(2, part, last=False))
            for _ in range(8 * MAX_MESSAGE_BYTES // len(part)):
                client.sendall(frame(0, part, last=False))
        assert close_code(read_all(client)) == 1009


@pytest.mark.parametrize("server", SOCKETS, indirect=True)
def test_nothing_is_decompressed(server: Running) -> None:
    client, head = server.upgrade("Sec-WebSocket-Extensions: permessage-deflate")
    with client:
        assert head.startswith(b"HTTP/1.1 101 ") and b"permessage-deflate" not in head
        client.sendall(bytes([0xC2, 0x84]) + bytes(8))  # a compressed frame all the same
        assert close_code(read_all(client)) == 1002


@pytest.mark.parametrize("server", SOCKETS, indirect=True)
def test_a_handshake_that_cannot_be_read_is_ended(server: Running) -> None:
    for header in ("Sec-WebSocket-Version: 99", "Sec-WebSocket-Protocol: ,;=", "X: a\x7fb", "X: a\r\n b"):
        client, head = server.upgrade(header)
        with client:
            assert head == b"" or head.startswith(b"HTTP/1.1 4")
            read_all(client)


def test_an_open_socket_may_rest(servers: dict[str, Running]) -> None:
    def rest(server: Running) -> None:
        client, _ = server.upgrade()
        with client:
            time.sleep(2 * HEAD_TIMEOUT_S)
            client.sendall(frame(9, b"still here"))
            found = b""
            while b"still here" not in found:
                portion = client.recv(1000)
                assert portion, "the server has ended it"
                found += portion

    everywhere(servers, SOCKETS, rest)


def test_who_never_answers_a_close_is_cut_off(servers: dict[str, Running]) -> None:
    def linger(server: Running) -> None:
        client, _ = server.upgrade()
        with client:
            client.sendall(frame(1, server.target.last_word.encode()))
            assert b"\x88" in read_all(client)
        check_well(server)

    everywhere(servers, SOCKETS, linger)


def test_pongs_for_a_client_that_does_not_read_are_not_kept(servers: dict[str, Running]) -> None:
    before_mb = servers["echo"].resident_mb()
    client, _ = servers["echo"].upgrade(receive_bytes=4096)
    with client:
        for _ in range(200):  # 26 MB
            client.sendall(frame(9, b"p" * 125) * 1000)
        check_well(servers["echo"])
        assert servers["echo"].resident_mb() - before_mb < 8


def test_fragments_of_nothing_are_not_kept(servers: dict[str, Running]) -> None:
    before_mb = servers["echo"].resident_mb()
    client, _ = servers["echo"].upgrade()
    with client:
        client.sendall(frame(2, b"a", last=False))
        for _ in range(30):  # 2 MB
            client.sendall(frame(0, last=False) * 10_000)
        check_well(servers["echo"])
        assert servers["echo"].resident_mb() - before_mb < 8
