"""An accepted connection from its first frame to its end: which encoding it speaks, and whether it gets a stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import IdleTimeout, Overloaded, ServerFault
from servers.common.logs import SESSION_ID
from servers.common.sockets import close, send
from servers.common.trace import Trace
from servers.kyutai.events import Failed
from servers.kyutai.live.codec import Codec, Wire
from servers.kyutai.live.json_codec import Json
from servers.kyutai.live.native import Native
from servers.kyutai.live.session import Session, frame_of
from servers.kyutai.room import Room
from servers.kyutai.settings import Settings


class Door:
    """Where connections come in."""

    def __init__(self, *, room: Room, settings: Settings, trace: Trace) -> None:
        self._room, self._settings, self._trace = room, settings, trace

    async def serve_native(self, websocket: WebSocket) -> None:
        """The server speaks first: Ready, or Error and 1013."""
        SESSION_ID.set(websocket.state.request_id)
        await self._serve(websocket, Native(), refusals=[Native()])

    async def serve_either(self, websocket: WebSocket) -> None:
        """The first frame fixes the encoding, and nothing is sent before it but how it ends without one.

        Refused for want of room, a client hears it in its encoding and then in the other one.
        """
        SESSION_ID.set(websocket.state.request_id)
        try:
            first = await self._first_frame(websocket)
        except IdleTimeout as fault:
            with contextlib.suppress(WebSocketDisconnect):
                await close(websocket, fault)
            return
        if first is None:
            return
        if isinstance(first, str):
            await self._serve(websocket, Json(), refusals=[Json(), Native()], first=first)
        else:
            await self._serve(websocket, Native(), refusals=[Native(), Json()], first=first)

    async def _serve(
        self, websocket: WebSocket, codec: Codec, *, refusals: Sequence[Codec], first: Wire | None = None
    ) -> None:
        try:
            request = None if first is None else codec.read(first)
            session = Session(websocket, codec, room=self._room, settings=self._settings, trace=self._trace)
        except ServerFault as fault:
            await _refuse(websocket, fault, refusals if isinstance(fault, Overloaded) else refusals[:1])
            return
        await session.run(request)

    async def _first_frame(self, websocket: WebSocket) -> Wire | None:
        """None: the client has gone. Raises IdleTimeout when nothing comes."""
        timeout_s = self._settings.ready_timeout_s
        try:
            async with asyncio.timeout(timeout_s or None):
                message = await websocket.receive()
        except TimeoutError:
            raise IdleTimeout("nothing came from the client", limit=f"{timeout_s:g} s") from None
        return None if message["type"] == "websocket.disconnect" else frame_of(message)


async def _refuse(websocket: WebSocket, fault: ServerFault, codecs: Sequence[Codec]) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        for codec in codecs:
            for message in codec.write(Failed(fault)):
                await send(websocket, message)
        await close(websocket, fault)
