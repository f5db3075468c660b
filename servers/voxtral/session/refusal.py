"""An accepted connection that becomes no session is told why, and closed."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.websockets import WebSocket

from servers.voxtral.faults import CloseCode, WireFault
from servers.voxtral.session.envelope import Envelope
from servers.voxtral.session.outbox import FAREWELL_S, Outbox


async def refuse(websocket: WebSocket, fault: WireFault) -> None:
    """`error`, and the close code that the fault says. Bounded in time: it may be somebody who reads nothing."""
    envelope = Envelope(str(websocket.state.request_id), model="", max_append_s=1)
    outbox = Outbox(websocket, on_stuck=lambda: None)
    outbox.put(envelope.write("error", None, fault.payload()))
    outbox.close(fault.closes or CloseCode.ENGINE_UNAVAILABLE, fault.message)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FAREWELL_S):
            await outbox.run()
