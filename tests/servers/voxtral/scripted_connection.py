"""One connection of the scripted engine: the model check, the audio queue, and every refusal as vLLM words it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection

from tests.servers.voxtral.scripted_request import Hearing

if TYPE_CHECKING:
    from tests.servers.voxtral.scripted_vllm import ScriptedVllm


class Connection:
    """One client: its model check, its audio queue, at most one request at a time."""

    def __init__(self, engine: ScriptedVllm, socket: ServerConnection) -> None:
        self._engine, self._socket = engine, socket
        self._is_validated = False
        self._audio: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._request: asyncio.Task[None] | None = None

    async def run(self) -> None:
        await self._say("session.created", id=f"sess-{id(self):x}", created=int(time.time()))
        async for message in self._socket:
            if isinstance(message, bytes):  # vLLM looks for a text in it and falls over
                self._socket.transport.abort()
                return
            try:
                event = json.loads(message)
            except ValueError:
                await self._refuse("Invalid JSON", "invalid_json")
                continue
            try:
                await self._take(event)
            except (AttributeError, KeyError, TypeError) as error:
                await self._refuse(str(error), "processing_error")

    async def clean_up(self) -> None:
        if self._request is not None and not self._request.done():
            self._engine.aborted += 1
            self._request.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._request

    async def _take(self, event: dict[str, Any]) -> None:
        kind, wanted = event.get("type"), self._engine.script.model
        if kind == "session.update":
            model = event.get("model")
            if model is None:
                await self._refuse("Missing required field: model", "invalid_event")
            elif wanted and model != wanted:
                await self._refuse(f"The model `{model}` does not exist.", "model_not_found")
            else:
                self._is_validated = True
        elif kind == "input_audio_buffer.append":
            if (pcm := _pcm(event["audio"])) is None:
                await self._refuse("Invalid audio data", "invalid_audio")
            else:
                self._audio.put_nowait(pcm)
        elif kind == "input_audio_buffer.commit":
            if not self._is_validated:
                await self._refuse("Model not validated.", "model_not_validated")
            elif event.get("final", False):
                self._audio.put_nowait(None)
            elif self._request is None or self._request.done():
                self._engine.begun += 1
                hearing = Hearing(self._engine, self._engine.begun, self._audio, self._socket, self._say)
                self._request = asyncio.create_task(hearing.run())
        else:
            await self._refuse(f"Unknown event type: {kind}", "unknown_event")

    async def _refuse(self, error: str, code: str) -> None:
        await self._say("error", error=error, code=code)

    async def _say(self, kind: str, **values: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **values}))


def _pcm(audio: str) -> bytes | None:
    """The bytes of base64 PCM16; None where vLLM would refuse them."""
    try:
        pcm = base64.b64decode(audio)
    except ValueError:
        return None
    return pcm if pcm and len(pcm) % 2 == 0 else None
