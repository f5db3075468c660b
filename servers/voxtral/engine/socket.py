"""A Request over vLLM's own wire: one WebSocket to `/v1/realtime`, one commit, one answer.

Protocol: vllm/entrypoints/speech_to_text/realtime of vLLM 0.32. It is the same from 0.16 on, but only from 0.32 on does
a closed socket end the request at once.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from servers.voxtral.engine.http_get import get, route
from servers.voxtral.engine.pulse import Pulse
from servers.voxtral.interfaces import Delta, Done, EngineGone, EngineRefused

OPEN_TIMEOUT_S: Final = 10.0
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Of one event: the text of hours is a few hundred kilobytes."""
WAITING_EVENTS: Final = 16
"""More than so many unread, and the socket is not read: the engine waits."""

HEALTH_TIMEOUT_S: Final = 2.0

_wire_log = logging.getLogger("servers.voxtral.wire")
_wire_log.setLevel(logging.WARNING)  # below it the library writes down every message: keys, sound and text

_START: Final = '{"type":"input_audio_buffer.commit","final":false}'
_FINISH: Final = '{"type":"input_audio_buffer.commit","final":true}'


class VllmRequest:
    """See interfaces.Request."""

    def __init__(self, socket: ClientConnection, url: str, pulse: Pulse) -> None:
        self._socket, self._url, self._pulse = socket, url, pulse
        self._is_aborted = False

    @classmethod
    async def begin(cls, url: str, *, key: str, model: str, pulse: Pulse) -> Self:
        """Connects and starts; a wrong model is told by `events`. Raises EngineGone and EngineRefused."""
        try:
            socket = await connect(
                url,
                additional_headers={"Authorization": f"Bearer {key}"} if key else None,
                compression=None,
                ping_interval=None,  # a busy engine answers late: deltas are watched instead
                open_timeout=OPEN_TIMEOUT_S,
                max_size=MAX_EVENT_BYTES,
                max_queue=WAITING_EVENTS,
                proxy=None,
                logger=_wire_log,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            if status >= 500:
                pulse.doubt.set()
                raise EngineGone(f"the engine answers {status}") from error
            raise EngineRefused("handshake", f"HTTP {status}") from error
        except (OSError, InvalidHandshake, ConnectionClosed) as error:
            pulse.doubt.set()
            raise EngineGone(f"no connection to the engine: {error}") from error
        request = cls(socket, url, pulse)
        try:
            await request._write(json.dumps({"type": "session.update", "model": model}))
            await request._write(_START)
        except BaseException:
            await request.abort()
            raise
        return request

    async def send(self, pcm: bytes) -> None:
        """16 kHz mono PCM16, any even number of bytes but none. Raises EngineGone."""
        audio = base64.b64encode(pcm).decode("ascii")
        await self._write(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')

    async def finish(self) -> None:
        """No more audio comes. Raises EngineGone."""
        await self._write(_FINISH)

    async def events(self) -> AsyncIterator[Delta | Done]:
        """Until and with Done. Raises EngineGone and EngineRefused."""
        try:
            async for message in self._socket:
                event = _parsed(message)
                kind = event.get("type")
                if kind == "transcription.delta":
                    self._pulse.heard()
                    yield Delta(str(event.get("delta", "")))
                elif kind == "transcription.done":
                    yield Done(str(event.get("text", "")), event.get("usage") or {})
                    return
                elif kind == "error":
                    self._pulse.doubt.set()
                    if await self._is_dead():
                        raise EngineGone(f"the engine died: {event.get('error', '')}")
                    raise EngineRefused(str(event.get("code", "")), str(event.get("error", "")))
        except ConnectionClosed as closed:
            raise self._gone(closed) from closed
        raise self._gone(self._socket.close_code)

    async def abort(self) -> None:
        """Cuts the connection; the engine ends the request when it sees that. Never raises, waits for nobody."""
        self._is_aborted = True
        self._socket.transport.abort()

    async def _is_dead(self) -> bool:
        """Whether an error was the engine's last word: it tells of its own death like of any other failure."""
        try:
            return (await get(route(self._url, "/health"), timeout_s=HEALTH_TIMEOUT_S))[0] >= 500
        except TimeoutError:
            return False
        except OSError:
            return True

    async def _write(self, message: str) -> None:
        try:
            await self._socket.send(message)
        except ConnectionClosed as closed:
            raise self._gone(closed) from closed

    def _gone(self, why: object) -> EngineGone:
        if self._is_aborted:
            return EngineGone("the request was aborted")
        self._pulse.doubt.set()
        return EngineGone(f"the engine closed the connection: {why}")


def _parsed(message: str | bytes) -> dict[str, Any]:
    """Raises EngineRefused for what is no event."""
    try:
        event = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise EngineRefused("unreadable", "the engine sent no JSON") from error
    if not isinstance(event, dict):
        raise EngineRefused("unreadable", "the engine sent no JSON object")
    return event
