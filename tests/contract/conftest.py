"""Streaming clients against `echo` as users run it, and what is said to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.servers.echo.conftest import Echo, StartEcho, echoes, start_echo
from yapbench import catalog, clients
from yapbench.clients.interface import Exchange
from yapbench.corpus import Utterance
from yapbench.pacing.streaming import StreamOptions
from yapbench.pacing.timer import Pacer

__all__ = ["ECHO_WIRES", "Calls", "Echo", "StartEcho", "calls", "sound", "start_echo"]

ECHO_WIRES = [name for name in catalog.lookup("echo").clients if name in clients.CODECS]
"""The streaming wires that echo speaks; others are tested against a server of their own."""


def sound(seconds: float, *, seed: int = 0, rate_hz: int = 16_000) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Noise: no frame of it is silent."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * rate_hz)).astype(np.float32)


@dataclass
class Calls:
    """Makes calls to a server by the wire's name, ten times faster than live unless told otherwise."""

    pacer: Pacer

    async def make(
        self,
        name: str,
        url: str,
        *,
        seconds: float = 1.0,
        timeout_s: float = 10.0,
        request_id: str = "r-1",
        speech_end_s: float | None = None,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> Exchange:
        given = StreamOptions(**{"frame_ms": 40, "pace": 10, "post_wait_s": timeout_s, **options})
        client = clients.build(
            name, url, timeout_s=timeout_s, environment=environment or {}, stream=given, pacer=self.pacer
        )
        utterance = Utterance(id="u", duration_s=seconds, speech_end_s=speech_end_s)
        payload = client.prepare(utterance, sound(seconds, rate_hz=client.sample_rate_hz))
        return await client.exchange(payload, request_id, intended_ns=time.monotonic_ns())

    async def on_every_wire(self, url: str, **options: Any) -> dict[str, Exchange]:
        """The same call on each of echo's wires at once."""
        found = await asyncio.gather(*(self.make(name, url, **options) for name in ECHO_WIRES))
        return dict(zip(ECHO_WIRES, found, strict=True))


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    pacer = Pacer()
    yield Calls(pacer)
    pacer.close()


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Echo]:
    """One faultless server for a whole file."""
    with echoes(tmp_path_factory.mktemp("echo")) as start:
        yield start("--end-silence-ms=200")
