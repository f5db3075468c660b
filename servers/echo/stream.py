"""One WebSocket session: audio and operations in, scripted partials and finals out, each when it is due."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import Overloaded, ServerFault
from servers.echo.half_close import half_close
from servers.echo.protocol import SCRIPTED_ERROR, Operation, Utterance
from servers.echo.script import Script
from servers.echo.settings import Settings
from servers.echo.stage import Plan, Stage
from servers.echo.wires import Message, Wire

_WAITING_LIMIT = 1024


@dataclass(frozen=True)
class _Outgoing:
    plan: Plan
    kind: str
    utterance: int
    text: str
    audio_s: float


async def send(websocket: WebSocket, message: Message) -> None:
    """As a text or a binary frame."""
    await (websocket.send_text(message) if isinstance(message, str) else websocket.send_bytes(message))


class Stream:
    """Reads on one task and sends on another, so that a delayed message does not stop the listening.

    Messages leave in the order in which they were caused. A client that does not read what it is owed is, after
    a while, not listened to either.
    """

    def __init__(self, websocket: WebSocket, *, wire: Wire, stage: Stage, script: Script, settings: Settings) -> None:
        self._websocket, self._wire, self._stage, self._script = websocket, wire, stage, script
        self._request_id: str = websocket.state.request_id
        self._repeats = 1 + settings.flood
        self._end_silence_s = settings.end_silence_ms / 1000 or float("inf")
        self._number = 0
        self._utterance = Utterance(script)
        self._outgoing: asyncio.Queue[_Outgoing | None] = asyncio.Queue(_WAITING_LIMIT)

    async def run(self) -> None:
        """Until the client leaves or everything up to its `close` is sent. Raises BadInput for a bad message."""
        sender = asyncio.create_task(self._send_all())
        try:
            await self._read_all()
        except ServerFault as fault:
            await self._say({"type": "error", **fault.body()})
            raise
        finally:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
                await sender

    async def _read_all(self) -> None:
        """Returns when the connection is gone; what comes after `close` is ignored."""
        closing = False
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if closing:
                continue
            data = message.get("bytes")
            heard = self._wire.read(message["text"] if data is None else data)
            if isinstance(heard, bytes):
                await self._hear(heard)
            else:
                closing = heard == "close"
                await self._operate(heard)

    async def _hear(self, audio: bytes) -> None:
        for text in self._utterance.hear(audio):
            for _ in range(self._repeats):
                await self._put("partial", text, self._stage.plan_partial())
        if self._utterance.silence_s >= self._end_silence_s:
            await self._finish_utterance()

    async def _operate(self, operation: Operation) -> None:
        if operation == "start":
            await self._say({"type": "ready", "request_id": self._request_id})
            return
        await self._finish_utterance()
        if operation == "close":
            await self._outgoing.put(None)

    async def _finish_utterance(self) -> None:
        try:
            plan = self._stage.plan_answer()
        except Overloaded as refusal:
            await self._say({"type": "error", **refusal.body()})
        else:
            await self._put("final", self._stage.text_of(plan, self._request_id, self._utterance.final), plan)
        self._number += 1
        self._utterance = Utterance(self._script, self._number)

    async def _put(self, kind: str, text: str, plan: Plan) -> None:
        await self._outgoing.put(_Outgoing(plan, kind, self._number, text, self._utterance.audio_s))

    async def _say(self, row: dict[str, object]) -> None:
        await send(self._websocket, self._wire.write(row))

    async def _send_all(self) -> None:
        """Ends with closing the connection: 1000 after the last message, 1011 for a scripted error."""
        close_code = 1000
        while close_code == 1000 and (item := await self._outgoing.get()) is not None:
            await self._stage.wait(item.plan, request_id=self._request_id, kind=item.kind, utterance=item.utterance)
            close_code = await self._send(item)
            self._note(item)
        await self._websocket.close(close_code)

    def _note(self, item: _Outgoing) -> None:
        """A final's way through the queue, once it has left; partials need no worker."""
        trace, turn = self._stage.trace, item.plan.turn
        if item.kind != "final" or item.plan.fault or not trace.enabled:
            return
        trace.note("received", request_id=self._request_id, at_s=turn.arrived_s)
        trace.note("step_start", request_id=self._request_id, at_s=turn.started_s, batch_size=1)
        trace.note("step_end", request_id=self._request_id, at_s=turn.finished_s, batch_size=1)
        trace.note("sent", request_id=self._request_id)

    async def _send(self, item: _Outgoing) -> int:
        """Send it, or do what its fault says; returns the code with which the session goes on (1000) or ends."""
        row: dict[str, object] = {
            "type": item.kind,
            "text": item.text,
            "request_id": self._request_id,
            "utterance": item.utterance,
            "audio_s": item.audio_s,
            "at_s": time.monotonic(),
        }
        match item.plan.fault:
            case "never_final":
                await asyncio.Event().wait()
            case "half_close":
                client = self._websocket.client
                half_close((client.host, client.port) if client else ("", 0))
                await asyncio.Event().wait()
            case "garbage":
                await send(self._websocket, self._wire.garbage)
            case "error":
                await self._say({"type": "error", **SCRIPTED_ERROR})
                return 1011
            case "drop":
                return 1011
            case "wrong":
                others = {"request_id": "another-session", "utterance": item.utterance + 1, "text": "not yours"}
                await self._say(row | others)
            case None | "crosstalk":
                await self._say(row)
        return 1000
