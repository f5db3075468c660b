"""The answer to a client that is still sending: it hears why, and is given time to stop.

A server that closes while data still comes makes the client's system throw the answer away (RFC 9112, section 9.6,
"lingering close"); one that keeps the connection must read all that the client has announced.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from servers.common.errors import ServerFault
from servers.parakeet.uploads.receive import Incoming

LINGER_S = 5.0


class Refusal(JSONResponse):
    """Goes out whole at once; what still comes in is thrown away for up to LINGER_S, then the connection ends."""

    def __init__(self, fault: ServerFault, incoming: Incoming) -> None:
        super().__init__(fault.body(), fault.status, {**fault.headers(), "connection": "close"})
        self._incoming = incoming

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(LINGER_S):
                while not self._incoming.ended:
                    await self._incoming.read()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
