"""HTTP and WebSocket by hand, on a bare socket: what no library would send."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress


def upgrade_request(path: str, *headers: str) -> bytes:
    """The request that begins a WebSocket."""
    given = [
        f"GET {path} HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *headers,
    ]
    return "\r\n".join([*given, "", ""]).encode()


def read_head(client: socket.socket) -> bytes:
    """Byte by byte: what follows stays in the socket."""
    found = b""
    while not found.endswith(b"\r\n\r\n") and (byte := client.recv(1)):
        found += byte
    return found


def read_all(client: socket.socket) -> bytes:
    """Until the server ends the connection; a reset is one too. Fails at the socket's timeout."""
    found = b""
    with suppress(ConnectionError):
        while portion := client.recv(65_536):
            found += portion
    return found


def send_while_taken(client: socket.socket, portion: bytes, *, times: int, pause_s: float = 0.0) -> None:
    with suppress(ConnectionError, TimeoutError):
        for _ in range(times):
            client.sendall(portion)
            time.sleep(pause_s)


def frame(opcode: int, data: bytes = b"", *, last: bool = True, declared: int | None = None) -> bytes:
    """Masked with zeros. `declared`: what its head says of its length."""
    size = len(data) if declared is None else declared
    head = bytes([last << 7 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65_536:
        head += b"\xfe" + struct.pack("!H", size)
    else:
        head += b"\xff" + struct.pack("!Q", size)
    return head + bytes(4) + data


def close_code(answer: bytes) -> int:
    """Of the close frame at the end of what was received."""
    at = answer.rindex(b"\x88")
    return int(struct.unpack("!H", answer[at + 2 : at + 4])[0])


class Deaf:
    """A WebSocket's client that never reads, with room for next to nothing."""

    def __init__(self, address: str, path: str, *headers: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        host, port = address.split(":")
        self.socket.connect((host, int(port)))
        self.socket.sendall(upgrade_request(path, *headers))
        assert b" 101 " in self.socket.recv(1024)

    def send(self, message: str | bytes) -> None:
        """One frame: text as text, bytes as binary."""
        self.socket.sendall(frame(1, message.encode()) if isinstance(message, str) else frame(2, message))
