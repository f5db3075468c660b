"""One WebSocket session: audio and operations in, scripted partials and finals out, each when it is due."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import Overloaded, ServerFault
from servers.echo.protocol import SCRIPTED_ERROR, Lines, Utterance, read_operation
from servers.echo.stage import Plan, Stage

_WAITING_LIMIT = 1024


@dataclass(frozen=True)
class _Outgoing:
    plan: Plan
    kind: str
    utterance: int
    text: str
    audio_s: float


class Stream:
    """Reads on one task and sends on another, so that a delayed message does not stop the listening.

    Messages leave in the order in which they were caused. A client that does not read what it is owed is, after
    a while, not listened to either.
    """

    def __init__(self, websocket: WebSocket, *, stage: Stage, script: tuple[Lines, ...], request_id: str) -> None:
        self._websocket, self._stage, self._request_id = websocket, stage, request_id
        self._script = script
        self._number = 0
        self._utterance = Utterance(script[0])
        self._outgoing: asyncio.Queue[_Outgoing | None] = asyncio.Queue(_WAITING_LIMIT)

    async def run(self) -> None:
        """Until the client leaves or everything up to its `close` is sent. Raises BadInput for a bad message."""
        sender = asyncio.create_task(self._send_all())
        try:
            await self._read_all()
        except ServerFault as fault:
            await self._websocket.send_text(json.dumps({"type": "error", **fault.body()}))
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
            if (data := message.get("bytes")) is not None:
                for text in self._utterance.hear(len(data)):
                    await self._put("partial", text, self._stage.plan_partial())
                continue
            closing = read_operation(message["text"]) == "close"
            await self._finish_utterance()
            if closing:
                await self._outgoing.put(None)

    async def _finish_utterance(self) -> None:
        try:
            plan = self._stage.plan_answer()
        except Overloaded as refusal:
            await self._websocket.send_text(json.dumps({"type": "error", **refusal.body()}))
        else:
            await self._put("final", self._utterance.final, plan)
        self._number += 1
        self._utterance = Utterance(self._script[self._number % len(self._script)])

    async def _put(self, kind: str, text: str, plan: Plan) -> None:
        await self._outgoing.put(_Outgoing(plan, kind, self._number, text, self._utterance.audio_s))

    async def _send_all(self) -> None:
        """Ends with closing the connection: 1000 after the last message, 1011 for a scripted error."""
        close_code = 1000
        while close_code == 1000 and (item := await self._outgoing.get()) is not None:
            await self._stage.wait(item.plan, request_id=self._request_id, kind=item.kind, utterance=item.utterance)
            close_code = await self._send(item)
        await self._websocket.close(close_code)

    async def _send(self, item: _Outgoing) -> int:
        """Send it, or do what its fault says; returns the code with which the session goes on (1000) or ends."""
        match item.plan.fault:
            case "never_final":
                await asyncio.Event().wait()
            case "garbage":
                await self._websocket.send_text('{"type": "fin')
            case "error":
                await self._websocket.send_text(json.dumps({"type": "error", **SCRIPTED_ERROR}))
                return 1011
            case "drop":
                return 1011
            case None:
                row = {
                    "type": item.kind,
                    "text": item.text,
                    "utterance": item.utterance,
                    "audio_s": item.audio_s,
                    "at_s": time.monotonic(),
                }
                await self._websocket.send_text(json.dumps(row))
        return 1000
