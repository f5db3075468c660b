"""Callers who each say one of many sentences, live, through the harness's client; the echo server knows them all."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np

from yapbench import clients
from yapbench.clients.interface import Exchange
from yapbench.clients.line import Sight
from yapbench.clients.websocket import StreamClient
from yapbench.corpus import Corpus, Utterance
from yapbench.echo import script
from yapbench.pacing.streaming import StreamOptions
from yapbench.pacing.timer import Pacer

SENTENCES = 20


class Callers:
    """As many as are asked for; who says what follows from the request's id."""

    def __init__(self, *, seconds: float = 5.0, key: str = "") -> None:
        self._environment = {"ECHO_KEY": key} if key else {}
        self._connected = asyncio.Semaphore(0)
        self._said = [_utterance(number, seconds) for number in range(SENTENCES)]

    def write_script(self, folder: Path) -> Path:
        """For `--script` of the replicas."""
        return script.write(script.script_of(Corpus.of("sentences", self._said)), folder / "script.json")

    async def call(self, url: str, count: int, *, who: str) -> dict[str, Exchange]:
        """Calls that all begin now, by request id: "who-0", "who-1" ..."""
        options, pacer = StreamOptions(frame_ms=100, post_wait_s=10), Pacer()
        try:
            names = [f"{who}-{number}" for number in range(count)]
            made = (self._one(url, name, options, pacer) for name in names)
            return dict(zip(names, await asyncio.gather(*made), strict=True))
        finally:
            pacer.close()

    async def _one(self, url: str, name: str, options: StreamOptions, pacer: Pacer) -> Exchange:
        codec, observer = clients.CODECS["echo_pcm"], self._see
        client = StreamClient(
            codec, url, timeout_s=20, environment=self._environment, options=options, pacer=pacer, observer=observer
        )
        said = self._of(name)
        assert said.samples is not None
        return await client.exchange(client.prepare(said, said.samples), name, intended_ns=time.monotonic_ns())

    @contextlib.asynccontextmanager
    async def calling(self, url: str, count: int, *, who: str) -> AsyncIterator[asyncio.Task[dict[str, Exchange]]]:
        """The same in the background; the block begins when all of them are connected."""
        self._connected = asyncio.Semaphore(0)
        calls = asyncio.create_task(self.call(url, count, who=who))
        for _ in range(count):
            await self._connected.acquire()
        yield calls
        await calls

    def _see(self, sight: Sight) -> None:
        if sight.kind == "connected":
            self._connected.release()

    def _of(self, name: str) -> Utterance:
        return self._said[int(name.rpartition("-")[2]) % SENTENCES]

    def heard_right(self, found: dict[str, Exchange]) -> bool:
        """Whether every final is what that caller said."""
        return all(one.events and one.events[-1].text == self._of(name).text for name, one in found.items())


def _utterance(number: int, seconds: float) -> Utterance:
    samples = np.random.default_rng(number).uniform(-0.5, 0.5, round(seconds * 16_000)).astype(np.float32)
    words = " ".join(f"word{number}x{place}" for place in range(5))
    return Utterance(id=f"u{number}", duration_s=seconds, samples=samples, sample_rate_hz=16_000, text=words)
