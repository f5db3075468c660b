"""The server around a fake model, on a real socket, and what clients say to it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from servers.common.interfaces import Audio, ModelIdentity
from servers.fastconformer.app import create_app
from servers.fastconformer.settings import Settings
from tests.servers.clean import clear
from tests.servers.fastconformer.fake import FakeEars

IDENTITY = ModelIdentity(model_id="fake", revision="1", sha256="")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No `.env` of the developer and none of their variables reach a test."""
    clear(monkeypatch, Settings, tmp_path_factory.mktemp("cwd"))


@dataclass(frozen=True)
class Running:
    """A server, and the ears that it was given."""

    address: str
    ears: FakeEars
    server: uvicorn.Server

    @property
    def ws(self) -> str:
        return f"ws://{self.address}/"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}{path}", timeout=30)

    @property
    def free(self) -> int:
        return int(self.get("/health").json()["seats"]["free"])

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/status").json()
        return found


Start = Callable[..., Running]


def configure(settings: Settings, ears: FakeEars, **options: Any) -> uvicorn.Server:
    """As servers/common/serve.py does, but for what `options` say."""
    app = create_app(settings, build=lambda: ears, identity=IDENTITY)
    given = {"loop": "uvloop", "ws": "websockets-sansio", "ws_per_message_deflate": False, "lifespan": "on", **options}
    return uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **given))


def settings_of(**knobs: Any) -> Settings:
    """Small and quick, and nothing happens by itself, unless `knobs` say so."""
    return Settings(**{"device": "cpu", "max_streams": 4, "step_ms": 5, "flush_after_ms": 0, **knobs})


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(max_streams=2, delay_s=0.1, uvicorn={...})`: a server in a thread; all are gone after the test."""
    running: list[tuple[Running, threading.Thread]] = []

    def launch(*, delay_s: float = 0.0, uvicorn: dict[str, Any] | None = None, **knobs: Any) -> Running:
        settings = settings_of(**knobs)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        ears = FakeEars(settings.seats, delay_s=delay_s)
        server = configure(settings, ears, **(uvicorn or {}))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        found = Running(f"127.0.0.1:{listener.getsockname()[1]}", ears, server)
        running.append((found, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        return found

    yield launch
    for one, thread in running:
        one.ears.gate.set()
        one.server.should_exit = True
        thread.join()


def pcm(seconds: float, *, seed: int = 0) -> bytes:
    """Noise as PCM16 at 16 kHz, far from the samples that the fake fails on."""
    return np.random.default_rng(seed).integers(-9000, 9000, round(seconds * 16_000), dtype=np.int16).tobytes()


def floats(data: bytes) -> Audio:
    """The samples of PCM16 as the model gets them."""
    samples: NDArray[np.float32] = np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32_768)
    return samples


@dataclass
class Call:
    """A client's side of one stream."""

    ws: ClientConnection
    rows: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, data: bytes, *, portion: int = 640) -> None:
        for at in range(0, len(data), portion):
            await self.ws.send(data[at : at + portion])

    async def tell(self, op: str, **more: Any) -> None:
        await self.ws.send(json.dumps({"op": op, **more}))

    async def hear(self, *, within_s: float = 15.0) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(await asyncio.wait_for(self.ws.recv(), within_s))
        self.rows.append(row)
        return row

    async def end(self) -> int:
        """Listens until the server closes; the code."""
        try:
            while True:
                await self.hear(within_s=30)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def close(self) -> int:
        await self.tell("close")
        return await self.end()

    @property
    def reason(self) -> str:
        return self.ws.close_reason or ""

    def of(self, op: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["op"] == op]

    @property
    def final(self) -> str:
        (row,) = self.of("final")
        return str(row["text"])


@asynccontextmanager
async def dial(server: Running | str, *, init: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Call]:
    """A connection; with `init` (as `{"sid": "a"}`) its stream has begun."""
    url = server if isinstance(server, str) else server.ws
    async with connect(url, **{"compression": None, "max_queue": None, "proxy": None, **options}) as ws:
        call = Call(ws)
        if init is not None:
            await call.tell("init", **init)
        yield call
