"""The server around fake models, on a real socket, and what clients say to it."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import soundfile
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from servers.common.audio import SAMPLE_RATE_HZ, float_to_pcm16
from servers.common.interfaces import Audio, ModelIdentity
from servers.parakeet.app import create_app
from servers.parakeet.settings import Settings
from tests.servers.clean import clear
from tests.servers.parakeet.fake import FakeDetector, FakeTranscriber

IDENTITY = ModelIdentity(model_id="fake", revision="1", sha256="")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No `.env` of the developer and none of their variables reach a test."""
    clear(monkeypatch, Settings, tmp_path_factory.mktemp("cwd"))


@dataclass(frozen=True)
class Running:
    """A server, and the model that it was given."""

    address: str
    model: FakeTranscriber
    server: uvicorn.Server

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def ws(self) -> str:
        return f"ws://{self.address}/ws"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30)

    def post(self, path: str, **parts: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", timeout=60, **parts)

    @property
    def free(self) -> int:
        return int(self.get("/health").json()["seats"]["free"])

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/status").json()
        return found


Start = Callable[..., Running]


def configure(settings: Settings, model: FakeTranscriber, **options: Any) -> uvicorn.Server:
    """As servers/common/serve.py does, but for what `options` say."""
    app = create_app(settings, build=lambda: model, build_detector=FakeDetector, identity=IDENTITY)
    given: dict[str, Any] = {
        "loop": "uvloop",
        "ws": "websockets-sansio",
        "ws_per_message_deflate": False,
        "lifespan": "on",
    }
    given |= {"ws_ping_timeout": None, **options}
    return uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **given))


def settings_of(**knobs: Any) -> Settings:
    """Quick, unless `knobs` say otherwise."""
    return Settings(**{"device": "cpu", "window_ms": 2, "idle_gap_ms": 0, **knobs})


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(batch_size=2, delay_s=0.1, uvicorn={...})`: a server in a thread; all are gone after the test."""
    running: list[tuple[Running, threading.Thread]] = []

    def launch(*, delay_s: float = 0.0, uvicorn: dict[str, Any] | None = None, **knobs: Any) -> Running:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        model = FakeTranscriber(delay_s=delay_s)
        server = configure(settings_of(**knobs), model, **(uvicorn or {}))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        found = Running(f"127.0.0.1:{listener.getsockname()[1]}", model, server)
        running.append((found, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        return found

    yield launch
    for one, thread in running:
        one.model.gate.set()
        one.server.should_exit = True
        thread.join()


def file_of(audio: Audio, *, rate_hz: int = SAMPLE_RATE_HZ, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """A sound file, as libsndfile writes it; `audio` has shape (n,) or (n, channels)."""
    written = io.BytesIO()
    soundfile.write(written, audio, rate_hz, format=kind, subtype=subtype)
    return written.getvalue()


@dataclass
class Call:
    """A client's side of one WebSocket session."""

    ws: ClientConnection
    rows: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, audio: Audio, *, portion: int = 640) -> None:
        data = float_to_pcm16(audio)
        for at in range(0, len(data), portion):
            await self.ws.send(data[at : at + portion])

    async def flush(self) -> None:
        await self.ws.send(json.dumps({"type": "flush"}))

    async def hear(self, *, within_s: float = 15.0) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(await asyncio.wait_for(self.ws.recv(), within_s))
        self.rows.append(row)
        return row

    async def result(self) -> dict[str, Any]:
        """The next message that is no `queued`."""
        while "status" in (row := await self.hear()):
            pass
        return row

    async def end(self) -> int:
        """Listens until the server closes; the code."""
        try:
            while True:
                await self.hear(within_s=30)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    @property
    def queued(self) -> int:
        return sum(row.get("status") == "queued" for row in self.rows)

    @property
    def texts(self) -> list[str]:
        return [str(row["text"]) for row in self.rows if "confidence" in row]


@asynccontextmanager
async def dial(server: Running | str, **options: Any) -> AsyncIterator[Call]:
    url = server if isinstance(server, str) else server.ws
    async with connect(url, **{"compression": None, "max_queue": None, "proxy": None, **options}) as ws:
        yield Call(ws)
