"""A server that speaks both Kyutai wires as their contract says, with seats and whatever a test wants to go wrong.

Its text is known: a word for each half second of audio.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import msgpack
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
RATE_HZ = 24_000
FRAME = 1920
FULL = {"type": "Error", "message": "no free channels"}


class Seats:
    """`late_errors`: so many streams are told after Ready, and half a second of audio, that there is no seat.
    `slow_s`: time from the upgrade to Ready, and from the Flush to Final. `dies_after_s`: of audio, then it is cut.
    """

    def __init__(
        self, seats: int = 8, *, late_errors: int = 0, slow_s: float = 0.0, dies_after_s: float | None = None
    ) -> None:
        self.seats, self.late_errors, self.slow_s, self.dies_after_s = seats, late_errors, slow_s, dies_after_s
        self.key: str | None = None
        """What clients have to present; None: nothing."""
        self.taken = self.most_taken = self.refused = self.upgrades = self.unauthorized = 0
        self.heard: list[int] = []
        """Samples of each stream that was served to its Final."""
        self.rows: list[dict[str, Any]] = []
        """What came beside audio."""

    async def talk(self, connection: ServerConnection) -> None:
        """One stream, from its upgrade to its Final."""
        self.upgrades += 1
        assert connection.request is not None
        native = connection.request.path == "/api/asr-streaming"
        try:
            if not native:
                self.rows.append(json.loads(await connection.recv()))
            if self.taken >= self.seats:
                await self._refuse(connection, native)
                return
            self.taken += 1
            self.most_taken = max(self.most_taken, self.taken)
            try:
                await self._serve(connection, native)
            finally:
                self.taken -= 1
        except ConnectionClosed:
            pass

    async def _refuse(self, connection: ServerConnection, native: bool) -> None:
        self.refused += 1
        await connection.send(msgpack.packb(FULL))
        if not native:
            await connection.send(json.dumps(FULL))
        await connection.close(1013)

    async def _serve(self, connection: ServerConnection, native: bool) -> None:
        await asyncio.sleep(self.slow_s)
        await self._send(connection, native, type="Ready")
        samples = words = steps = 0
        async for message in connection:
            row = msgpack.unpackb(message) if isinstance(message, bytes) else json.loads(message)
            if row["type"] == "Flush":
                self.rows.append(row)
                await asyncio.sleep(self.slow_s)
                await self._send(connection, native, type="Final", text=" ".join(WORDS[:words]))
                self.heard.append(samples)
                await connection.close(1000)
                return
            samples += len(row["pcm"]) if native else len(base64.b64decode(row["audio"])) // 2
            while native and (steps + 1) * FRAME <= samples:
                steps += 1
                await self._send(connection, native, type="Step", step_idx=steps, prs=[0.25, 0.5], buffered_pcm=0)
            while (words + 1) * RATE_HZ // 2 <= samples:
                await self._word(connection, native, words)
                words += 1
            if self.late_errors and words:
                self.late_errors -= 1
                await self._refuse(connection, native)
                return
            if self.dies_after_s is not None and samples >= self.dies_after_s * RATE_HZ:
                connection.transport.abort()
                return

    async def _word(self, connection: ServerConnection, native: bool, number: int) -> None:
        if native:
            await self._send(connection, native, type="Word", text=WORDS[number], start_time=number / 2)
            await self._send(connection, native, type="EndWord", stop_time=(number + 1) / 2)
        else:
            await self._send(connection, native, type="Word", word=WORDS[number])
            await self._send(connection, native, type="Partial", text=" ".join(WORDS[: number + 1]))

    async def _send(self, connection: ServerConnection, native: bool, **row: Any) -> None:
        await connection.send(msgpack.packb(row) if native else json.dumps(row))

    def check_key(self, connection: ServerConnection, request: Request) -> Response | None:
        """401 before the upgrade."""
        if self.key is None or request.headers.get("kyutai-api-key") == self.key:
            return None
        self.unauthorized += 1
        return connection.respond(HTTPStatus.UNAUTHORIZED, "wrong key\n")


@asynccontextmanager
async def running(server: Seats) -> AsyncIterator[str]:
    """Its http address."""
    async with serve(server.talk, "127.0.0.1", 0, process_request=server.check_key, compression=None) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}"
