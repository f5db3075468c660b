"""Where an engine answers: its address, key and model's name; requests are begun here."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from typing import Final

from servers.voxtral.engine.http_get import get, route
from servers.voxtral.engine.pulse import Pulse
from servers.voxtral.engine.socket import VllmRequest

REALTIME: Final = "/v1/realtime"
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """One running engine, a child or somebody else's."""

    url: str
    model: str
    """As the engine knows it."""
    key: str = field(default="", repr=False)
    pulse: Pulse = field(default_factory=Pulse, repr=False)

    async def begin(self) -> VllmRequest:
        """A new request. Raises EngineGone, and EngineRefused."""
        return await VllmRequest.begin(self.url, key=self.key, model=self.model, pulse=self.pulse)

    async def get(self, path: str, *, timeout_s: float) -> tuple[int, str]:
        """One of its plain routes: status and text. Raises OSError where nothing answers, TimeoutError in time."""
        return await get(route(self.url, path), timeout_s=timeout_s)

    async def version(self) -> str:
        """vLLM's; "" where it does not say."""
        try:
            status, text = await self.get("/version", timeout_s=5)
            return str(json.loads(text)["version"]) if status == 200 else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
