"""The server around a fake listener, on a real socket, and what clients say to it in both encodings."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgpack
import numpy as np
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from servers.common.audio import float_to_pcm16
from servers.common.interfaces import Audio, ModelIdentity
from servers.kyutai.__main__ import MAX_MESSAGE_BYTES
from servers.kyutai.app import create_app
from servers.kyutai.settings import FRAME_SAMPLES, Settings
from tests.servers.clean import clear
from tests.servers.kyutai.fake import FakeListener, say

IDENTITY = ModelIdentity(model_id="fake", revision="1", sha256="")
PATH = "/api/asr-streaming"
KEY = "secret"


@pytest.fixture(autouse=True, scope="module")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No `.env` of the developer and none of their variables reach a test."""
    with pytest.MonkeyPatch.context() as patch:
        clear(patch, Settings, tmp_path_factory.mktemp("cwd"))
        yield


@dataclass(frozen=True)
class Running:
    """A server, and the listener that it was given."""

    address: str
    listener: FakeListener
    server: uvicorn.Server

    @property
    def place(self) -> tuple[str, int]:
        host, port = self.address.split(":")
        return host, int(port)

    def ws(self, path: str = PATH) -> str:
        return f"ws://{self.address}{path}"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}{path}", timeout=30)

    def post(self, body: Any, **headers: str) -> httpx.Response:
        given = {"kyutai-api-key": KEY, **headers}
        return httpx.post(f"http://{self.address}{PATH}", content=body, headers=given, timeout=30)

    @property
    def free(self) -> int:
        return int(self.get("/health").json()["seats"]["free"])

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/status").json()
        return found


Start = Callable[..., Running]


def configure(settings: Settings, listener: FakeListener, **options: Any) -> uvicorn.Server:
    """As servers/common/serve.py does, but for what `options` say."""
    app = create_app(settings, build=lambda: listener, identity=IDENTITY)
    given = {
        "loop": "uvloop",
        "ws": "websockets-sansio",
        "ws_per_message_deflate": False,
        "ws_max_size": MAX_MESSAGE_BYTES,
        "lifespan": "on",
        **options,
    }
    return uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **given))


def settings_of(**knobs: Any) -> Settings:
    """Small and quick, and nothing happens by itself, unless `knobs` say so."""
    given = {"device": "cpu", "seats": 4, "step_ms": 2, "marker_patience_ms": 0, "api_keys": KEY, **knobs}
    return Settings(**given)


@contextmanager
def launching() -> Iterator[Start]:
    """`start(seats=2, delay_s=0.1, uvicorn={...})`: a server in a thread; all are gone in the end."""
    running: list[tuple[Running, threading.Thread]] = []

    def launch(
        *, delay_s: float = 0.0, pause_heads: int = 4, uvicorn: dict[str, Any] | None = None, **knobs: Any
    ) -> Running:
        settings = settings_of(**knobs)
        listener_socket = socket.socket()
        listener_socket.bind(("127.0.0.1", 0))
        listener = FakeListener(settings.seats, delay_s=delay_s, pause_heads=pause_heads)
        server = configure(settings, listener, **(uvicorn or {}))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener_socket]})
        thread.start()
        found = Running(f"127.0.0.1:{listener_socket.getsockname()[1]}", listener, server)
        running.append((found, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        return found

    yield launch
    for one, thread in running:
        one.listener.gate.set()
        one.server.should_exit = True
        thread.join()


@pytest.fixture
def start() -> Iterator[Start]:
    """As `launching`."""
    with launching() as start:
        yield start


@pytest.fixture(scope="module")
def server(clean_environment: None) -> Iterator[Running]:
    """One for all tests of a file: each leaves it with its four seats free."""
    with launching() as start:
        yield start()


def packed(kind: str, **fields: Any) -> bytes:
    """As clients of moshi-server pack: numbers as 32-bit floats."""
    message: bytes = msgpack.packb({"type": kind, **fields}, use_single_float=True)
    return message


def packed_audio(audio: Audio) -> bytes:
    return packed("Audio", pcm=audio.tolist())


@dataclass
class Call:
    """A client's side of one stream. `rows` are all messages so far, from either encoding."""

    ws: ClientConnection
    rows: list[dict[str, Any]] = field(default_factory=list)
    kinds_of_frames: list[type] = field(default_factory=list)

    async def say(self, audio: Audio, *, portion: int = FRAME_SAMPLES) -> None:
        for at in range(0, len(audio), portion):
            await self.ws.send(packed_audio(audio[at : at + portion]))

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.ws.send(packed(kind, **fields))

    async def hear(self, *, within_s: float = 15.0) -> dict[str, Any]:
        message = await asyncio.wait_for(self.ws.recv(), within_s)
        row: dict[str, Any] = json.loads(message) if isinstance(message, str) else msgpack.unpackb(message)
        assert next(iter(row)) == "type"
        self.rows.append(row)
        self.kinds_of_frames.append(type(message))
        return row

    async def hear_until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next message of this kind."""
        wanted = {"type": kind, **fields}
        while not wanted.items() <= (row := await self.hear()).items():
            assert row["type"] != "Error", row
        return row

    async def end(self) -> int:
        """Listens until the server closes; the code."""
        try:
            while True:
                await self.hear(within_s=30)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def flush(self) -> int:
        await self.tell("Flush")
        return await self.end()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["type"] == kind]

    @property
    def words(self) -> str:
        return " ".join(row["text"] for row in self.of("Word"))

    @property
    def starts_s(self) -> list[float]:
        return [row["start_time"] for row in self.of("Word")]

    @property
    def final(self) -> str:
        (row,) = self.of("Final")
        return str(row["text"])


class JsonCall(Call):
    """The same in JSON."""

    async def say(self, audio: Audio, *, portion: int = FRAME_SAMPLES) -> None:
        for at in range(0, len(audio), portion):
            data = base64.b64encode(float_to_pcm16(audio[at : at + portion])).decode()
            await self.ws.send(json.dumps({"type": "Audio", "audio": data}))

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.ws.send(json.dumps({"type": kind, **fields}))

    @property
    def words(self) -> str:
        return " ".join(row["word"] for row in self.of("Word"))


@asynccontextmanager
async def dial(
    server: Running | str, path: str = PATH, *, kind: type[Call] = Call, key: str | None = KEY, **options: Any
) -> AsyncIterator[Call]:
    """A connection; nothing has been read or sent."""
    url = server if isinstance(server, str) else server.ws(path)
    headers = options.pop("additional_headers", {}) | ({"kyutai-api-key": key} if key else {})
    given = {"compression": None, "max_queue": None, "max_size": None, "proxy": None, **options}
    async with connect(url, additional_headers=headers, **given) as ws:
        yield kind(ws)


@pytest.fixture
async def neighbour(server: Running) -> AsyncIterator[None]:
    """Another stream, which whatever happens beside it must not harm. Takes a seat of `server`."""
    async with dial(server) as call:
        await call.say(say("undisturbed"))
        yield
        await call.say(say("to the end"))
        assert await call.flush() == 1000
    assert call.final == "undisturbed to the end"


def noise(seconds: float, *, seed: int = 0) -> Audio:
    """Far from every tone and from the samples that the fake fails on."""
    return np.random.default_rng(seed).uniform(-1e-4, 1e-4, round(seconds * 24_000)).astype(np.float32)
