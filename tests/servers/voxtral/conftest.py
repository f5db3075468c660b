"""The gateway around a fake engine, on a real socket, and what clients say to it."""

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
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from servers.common.interfaces import ModelIdentity
from servers.voxtral.app import PATH, create_app
from servers.voxtral.settings import STEP_BYTES, Settings
from tests.servers.clean import clear
from tests.servers.voxtral.fake_engine import FakeEngine, FakeHearing

ROOT = Path(__file__).resolve().parents[3]
IDENTITY = ModelIdentity(model_id="fake", revision="1", sha256="")
KEY = "secret"


@pytest.fixture(autouse=True, scope="module")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No `.env` of the developer and none of their variables reach a test."""
    with pytest.MonkeyPatch.context() as patch:
        clear(patch, Settings, tmp_path_factory.mktemp("cwd"))
        yield


@dataclass(frozen=True)
class Running:
    """A gateway, and what it was given."""

    address: str
    engine: FakeEngine
    hearing: FakeHearing
    server: uvicorn.Server

    def ws(self, path: str = PATH) -> str:
        return f"ws://{self.address}{path}"

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://{self.address}{path}", timeout=30)

    @property
    def used(self) -> int:
        return int(self.get("/health").json()["seats"]["used"])

    def metric(self, name: str) -> float:
        """Of /metrics, by its name with labels; 0.0 where it is not there."""
        lines = self.get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"voxtral_{name} ")), 0.0)


Start = Callable[..., Running]


@contextmanager
def launching() -> Iterator[Start]:
    """`start(max_connections=2, uvicorn={...})`: a gateway in a thread; all are gone in the end."""
    running: list[tuple[Running, threading.Thread]] = []

    def launch(*, is_late: bool = False, uvicorn: dict[str, Any] | None = None, **knobs: Any) -> Running:
        settings = Settings(**{"api_key": KEY, "model": "tiny", "watchdog_tick_s": 0.05, **knobs})
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        engine, hearing = FakeEngine(is_late=is_late), FakeHearing()
        server = configure(settings, engine, hearing, **(uvicorn or {}))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        found = Running(f"127.0.0.1:{listener.getsockname()[1]}", engine, hearing, server)
        running.append((found, thread))
        while not (server.started and (is_late or engine.available)):
            assert thread.is_alive()
            time.sleep(0.01)
        return found

    yield launch
    for one, thread in running:
        one.server.should_exit = True
        thread.join()
        assert one.engine.stopped == 1


def configure(settings: Settings, engine: FakeEngine, hearing: FakeHearing, **options: Any) -> uvicorn.Server:
    """As servers/common/serve.py does, but for what `options` say."""
    app = create_app(settings, engine=engine, hear=hearing, identity=IDENTITY)
    given = {"loop": "uvloop", "ws": "websockets-sansio", "ws_per_message_deflate": False, "lifespan": "on", **options}
    return uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, **given))


@pytest.fixture
def start() -> Iterator[Start]:
    """As `launching`."""
    with launching() as start:
        yield start


@pytest.fixture(scope="module")
def shared(clean_environment: None) -> Iterator[Running]:
    """One for all tests of a file: `server` hands it out."""
    with launching() as start:
        yield start(max_connections=8)


@pytest.fixture
def server(shared: Running) -> Iterator[Running]:
    """The file's gateway, without anything that a test before has switched."""
    shared.hearing.is_mute = shared.hearing.holds_done = False
    shared.hearing.full = None
    yield shared
    shared.hearing.release()


@dataclass
class Call:
    """A client's side of one session. `rows` are all messages so far; what is said carries `request_id`."""

    ws: ClientConnection
    request_id: str | None = "turn-1"
    rows: list[dict[str, Any]] = field(default_factory=list)

    async def tell(self, kind: str, payload: Any = None, **envelope: Any) -> None:
        row = {"type": kind, "session_id": None, "request_id": self.request_id, "payload": payload or {}}
        await self.ws.send(json.dumps(row | envelope))

    async def begin(self, request_id: str | None = None) -> None:
        self.request_id = request_id or self.request_id
        await self.tell("input_audio_buffer.commit", {"final": False})

    async def say(self, pcm: bytes, *, portion: int = STEP_BYTES, **envelope: Any) -> None:
        for at in range(0, len(pcm), portion):
            audio = base64.b64encode(pcm[at : at + portion]).decode()
            await self.tell("input_audio_buffer.append", {"audio": audio}, **envelope)

    async def finish(self) -> None:
        await self.tell("input_audio_buffer.commit", {"final": True})

    async def hear(self, *, within_s: float = 15.0) -> dict[str, Any]:
        message = await asyncio.wait_for(self.ws.recv(), within_s)
        row: dict[str, Any] = json.loads(message)
        assert list(row) == ["type", "session_id", "request_id", "payload"]
        self.rows.append(row)
        return row

    async def hear_until(self, kind: str) -> dict[str, Any]:
        """The next message of this kind; no error may come before it."""
        while (row := await self.hear())["type"] != kind:
            assert row["type"] != "error", row
        return row

    async def done(self) -> str:
        """The text of the next `done`, which all deltas of its utterance make together."""
        row = await self.hear_until("transcription.done")
        text = str(row["payload"]["text"])
        assert text == self.deltas(row["request_id"])
        return text

    async def error(self) -> dict[str, Any]:
        """The payload of the next error."""
        while (row := await self.hear())["type"] != "error":
            pass
        found: dict[str, Any] = row["payload"]
        assert list(found) == ["code", "message", "reason_code", "details"] and found["message"]
        return found

    async def end(self) -> int:
        """Listens until the server closes; the code."""
        try:
            while True:
                await self.hear(within_s=30)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["type"] == kind]

    def deltas(self, request_id: str | None) -> str:
        mine = [row for row in self.of("transcription.delta") if row["request_id"] == request_id]
        return "".join(row["payload"]["delta"] for row in mine)


@asynccontextmanager
async def dial(
    server: Running | str, path: str = PATH, *, key: str | None = KEY, created: bool = True, **options: Any
) -> AsyncIterator[Call]:
    """A connection; `session.created` has been read, unless it is not to come."""
    url = server if isinstance(server, str) else server.ws(path)
    headers = options.pop("additional_headers", {}) | ({"X-API-Key": key} if key else {})
    given = {"compression": None, "max_queue": None, "max_size": None, "proxy": None, **options}
    async with connect(url, additional_headers=headers, **given) as ws:
        call = Call(ws)
        if created:
            assert (await call.hear())["type"] == "session.created"
        yield call
