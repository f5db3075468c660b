"""vLLM's `/v1/realtime` without a model: a recogniser of marked speech, and its faults by switch.

    python -m tests.servers.voxtral.scripted_vllm --port=8100 --delay-steps=5 --step-s=0.01

Says what vLLM 0.32 says, in its order, for good and bad messages alike (vllm/entrypoints/speech_to_text/realtime).
Takes vLLM's own flags, so that it can stand in for the child: those it does not know are ignored.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.servers.voxtral.scripted_connection import Connection
from tests.servers.voxtral.scripted_request import Seats

PATH = "/v1/realtime"
FAULTS = ("stall_at", "die_at", "drop_at", "error_at", "blank_from")
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


@dataclass(kw_only=True)
class Script:
    """How the engine is; may be changed while it runs, and holds from the next request on."""

    api_key: str = ""
    model: str = ""
    """The served name; "" takes any."""
    delay_steps: int = 5
    max_model_len: int = 67_500
    slots: int = 128
    """Requests at once; more wait in silence. Fixed at the start."""
    step_s: float = 0.0
    """What a step takes at least."""
    piece_chars: int = 0
    """A step says at most so many characters of a word and the next ones the rest; 0: whole words."""
    stall_at: int | None = None
    """At this step (from 0) it falls silent, its socket open."""
    die_at: int | None = None
    """The whole engine goes: every connection without a close frame, then the port."""
    drop_at: int | None = None
    """This connection is closed with 1012, as by a dying engine core."""
    error_at: int | None = None
    """An error event, processing_error."""
    blank_from: int | None = None
    """From this step on every delta is empty: what was said is lost."""
    only_request: int | None = None
    """The faults above happen to this request alone, counted from 1; None: to all."""
    unhealthy: bool = False
    """/health answers 503."""

    def fault(self, name: str, request: int) -> int | None:
        """The step at which this request shows the fault."""
        step: int | None = getattr(self, name)
        return step if self.only_request in (None, request) else None


class ScriptedVllm:
    """The engine, listening on loopback while its context is entered."""

    def __init__(self, script: Script | None = None, *, port: int = 0) -> None:
        self.script = script or Script()
        self.port = port
        self.begun = self.ended = self.aborted = self.steps = 0
        """Requests, and their steps; an aborted one was given up by its client."""
        self.connections: set[ServerConnection] = set()
        self.seats = Seats(self.script.slots)
        self.died = asyncio.Event()
        self._server: Server | None = None
        self._falling: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}{PATH}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._connected,
            "127.0.0.1",
            self.port,
            process_request=self._before_upgrade,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            ping_interval=None,
            close_timeout=1,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()
        if self._falling is not None:
            await self._falling

    def fall(self) -> None:
        """`die` from within one of its own requests, which cannot wait for it."""
        self._falling = asyncio.create_task(self.die())

    async def die(self) -> None:
        """Go as a killed process goes."""
        self.died.set()
        for connection in list(self.connections):
            connection.transport.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _before_upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/health":
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE if self.script.unhealthy else HTTPStatus.OK, "")
        if path == "/metrics":
            return connection.respond(HTTPStatus.OK, self._metrics())
        if path != PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        key = self.script.api_key
        if key and request.headers.get("Authorization") != f"Bearer {key}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, '{"error":"Unauthorized"}')
        return None

    def _metrics(self) -> str:
        rows = {
            'vllm:num_requests_running{engine="0",model_name="m"}': self.seats.taken,
            'vllm:num_requests_waiting{engine="0",model_name="m"}': self.seats.waiting,
            'vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"}': self.seats.waiting,
            'vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="deferred"}': 0,
            'vllm:kv_cache_usage_perc{engine="0",model_name="m"}': self.seats.taken / self.script.slots,
            'vllm:num_preemptions_total{engine="0",model_name="m"}': 0,
        }
        return "".join(f"{name} {float(value)}\n" for name, value in rows.items())

    async def _connected(self, socket: ServerConnection) -> None:
        self.connections.add(socket)
        connection = Connection(self, socket)
        try:
            with contextlib.suppress(ConnectionClosed):
                await connection.run()
        finally:
            self.connections.discard(socket)
            await connection.clean_up()


def parse(words: Sequence[str]) -> tuple[Script, int]:
    """Script and port of a command line; vLLM's names are taken too, the delay from the folder of its --model."""
    flags = argparse.ArgumentParser(allow_abbrev=False, argument_default=argparse.SUPPRESS)
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--model", dest="folder", type=Path)
    flags.add_argument("--served-model-name", dest="model")
    flags.add_argument("--max-num-seqs", dest="slots", type=int)
    flags.add_argument("--api-key", default=os.environ.get("VLLM_API_KEY", ""))
    flags.add_argument("--unhealthy", action="store_true")
    flags.add_argument("--step-s", type=float)
    for name in ("delay_steps", "max_model_len", "piece_chars", *FAULTS, "only_request"):
        flags.add_argument(f"--{name.replace('_', '-')}", type=int)
    given = vars(flags.parse_known_args(words)[0])
    port, folder = given.pop("port"), given.pop("folder", None)
    if folder is not None:
        audio = json.loads((folder / "tekken.json").read_text(encoding="utf-8"))["audio"]
        given.setdefault("delay_steps", audio["transcription_delay_ms"] // 80)
    return Script(**given), port


async def main(words: Sequence[str]) -> int:
    """Until it dies or is ended; 1 when it dies by its script."""
    script, port = parse(words)
    async with ScriptedVllm(script, port=port) as engine:
        print(f"listening on {engine.url}", flush=True)
        await engine.died.wait()
    return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
