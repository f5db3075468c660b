"""How a server speaks on an accepted WebSocket, and how it closes one. Knows no protocol."""

from __future__ import annotations

from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import ServerFault

REASON_BYTES: Final = 123
"""Room for words in a close frame."""


async def send(websocket: WebSocket, message: str | bytes) -> None:
    """As a text or a binary frame. Raises WebSocketDisconnect when the client is gone."""
    try:
        if isinstance(message, str):
            await websocket.send_text(message)
        else:
            await websocket.send_bytes(message)
    except RuntimeError as error:
        # uvicorn has closed this connection itself (too large a message, no pong) and has not said so yet.
        raise WebSocketDisconnect(1006) from error


async def close(websocket: WebSocket, fault: ServerFault | None) -> None:
    """1000, or the fault's code with what it says, as far as there is room. Raises as `send` does."""
    try:
        if fault is None:
            await websocket.close(1000)
        else:
            reason = describe(fault).encode()[:REASON_BYTES].decode(errors="ignore")
            await websocket.close(fault.close_code, reason)
    except RuntimeError as error:
        raise WebSocketDisconnect(1006) from error


def describe(fault: ServerFault) -> str:
    """`sr: a sample rate of 4000 Hz is not supported (8000..48000)`."""
    field = "" if fault.field is None else f"{fault.field}: "
    limit = "" if fault.limit is None else f" ({fault.limit})"
    return f"{field}{fault.message}{limit}"
