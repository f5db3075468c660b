"""A target that costs next to nothing: the raw PCM wire of `echo` on picows, so that only the client can be slow.

`python -m yapbench.calibrate.sink CPU ...` prints its port and ends with its stdin; its owner's side is `sink`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

BYTES_PER_SECOND: Final = 32_000
EVENT_BYTES: Final = 6_400  # it says something every 200 ms of audio


class Listener(WSListener):
    """Counts what it hears, says something five times a second of audio, and the length of it all at the end."""

    def __init__(self, request: WSUpgradeRequest) -> None:
        self._request_id = request.headers.get("X-Request-ID", "")
        self._heard = self._unanswered = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self._heard += frame.payload_size
            self._unanswered += frame.payload_size
            if self._unanswered >= EVENT_BYTES:
                self._unanswered -= EVENT_BYTES
                self._say(transport, "partial")
        elif frame.msg_type == WSMsgType.TEXT:
            self._say(transport, "final")
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def _say(self, transport: WSTransport, kind: str) -> None:
        row = {"type": kind, "text": "", "request_id": self._request_id, "audio_s": self._heard / BYTES_PER_SECOND}
        transport.send(WSMsgType.TEXT, json.dumps(row).encode())


@contextmanager
def sink(cpus: Sequence[int]) -> Iterator[str]:
    """The URL of a sink on these CPUs, for as long as the block lasts."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-m", __name__, *map(str, cpus)], **pipes) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()


async def _serve() -> None:
    server = await ws_create_server(Listener, "127.0.0.1", 0, backlog=4096, websocket_handshake_timeout=60)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until stdin closes."""
    os.sched_setaffinity(0, [int(word) for word in sys.argv[1:]])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_serve())


if __name__ == "__main__":
    main()
