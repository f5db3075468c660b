"""A real server in a thread, for tests that need an app of their own on a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from fastapi import FastAPI

ServeApp = Callable[[FastAPI], str]


@pytest.fixture
def serve_app() -> Iterator[ServeApp]:
    """Call it with an app; returns `host:port`."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: FastAPI) -> str:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, access_log=False, ws="websockets-sansio", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No `.env` of the developer and none of their variables reach a test."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    for name in ("LOG_LEVEL", "LOG_FORMAT", "STATUS_KEY", "TRACE_PATH", "DRAIN_TIMEOUT_S"):
        monkeypatch.delenv(name, raising=False)
