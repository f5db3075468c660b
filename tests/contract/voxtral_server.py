"""A server that speaks the Voxtral wire as its contract says, a word for each half second of audio; and one that only
says what a test gives it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
STEP_BYTES = 2560
STEPS_A_WORD = 6
USAGE = {"prompt_tokens": 39, "completion_tokens": 1, "total_tokens": 40}


def said(kind: str, payload: dict[str, Any] | None = None, request_id: str | None = "r-1") -> str:
    """A message of the server's."""
    return json.dumps({"type": kind, "session_id": "r-1", "request_id": request_id, "payload": payload or {}})


def delta(text: str) -> str:
    return said("transcription.delta", {"delta": text})


def done(text: str) -> str:
    return said("transcription.done", {"text": text, "usage": USAGE})


def error(code: str, reason_code: str, request_id: str | None = None) -> str:
    payload = {"code": code, "message": "as it says", "reason_code": reason_code, "details": {}}
    return said("error", payload, request_id)


class Gateway:
    """Answers every step of 80 ms, and keeps its connections open. `ready_s`: what it takes to answer the update."""

    def __init__(self, *, ready_s: float = 0.0) -> None:
        self.ready_s = ready_s
        self.rows: list[dict[str, Any]] = []
        """What came beside audio."""
        self.heard: list[int] = []
        """Bytes of audio of each utterance."""
        self.headers: list[dict[str, str]] = []

    async def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.headers.append({name.lower(): value for name, value in connection.request.headers.raw_items()})
        try:
            await connection.send(said("session.created", {"id": "r-1", "created": 1}, None))
            await self._talk(connection)
        except ConnectionClosed:
            pass

    async def _talk(self, connection: ServerConnection) -> None:
        size = steps = 0
        async for message in connection:
            row = json.loads(message)
            if row["type"] == "input_audio_buffer.append":
                size += len(base64.b64decode(row["payload"]["audio"], validate=True))
                while (steps + 1) * STEP_BYTES <= size:
                    steps += 1
                    word = WORDS[steps // STEPS_A_WORD - 1] if steps % STEPS_A_WORD == 0 else ""
                    await connection.send(delta(f" {word}" if word else ""))
                continue
            self.rows.append(row)
            if row["type"] == "session.update":
                await asyncio.sleep(self.ready_s)
                await connection.send(said("session.updated", {"model": "m", "transcription_delay_ms": 400}, None))
            elif row["payload"]["final"]:
                self.heard.append(size)
                await connection.send(done(" " + " ".join(WORDS[: steps // STEPS_A_WORD])))
                size = steps = 0


@asynccontextmanager
async def running(behave: Any) -> AsyncIterator[str]:
    """Its http address."""
    async with serve(behave, "127.0.0.1", 0, compression=None) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def saying(*messages: str | bytes, code: int | None = None, ready: bool = True) -> AsyncIterator[str]:
    """A server that is ready, or not, says this once an utterance has begun, and closes with `code`, or does not."""

    async def behave(connection: ServerConnection) -> None:
        try:
            await connection.recv()
            if ready:
                await connection.send(said("session.updated", {"model": "m"}, None))
                await connection.recv()
            for message in messages:
                await connection.send(message)
            if code is not None:
                await connection.close(code, "as it says")
            await connection.wait_closed()
        except ConnectionClosed:
            pass

    async with running(behave) as url:
        yield url
