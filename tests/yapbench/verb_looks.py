"""An echo that streams, as the verbs meet it, and where their files go in tests."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from yapbench import process
from yapbench.corpus import Corpus
from yapbench.verbs import quick

CLIP = "paragraph-short-03-awb"
[TEXT] = [one.text or "" for one in Corpus.load() if one.id == CLIP]
FAST: dict[str, Any] = {"client": "echo_pcm", "rtf": 20.0, "file": CLIP}


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An echo that answers what is said in the clip."""
    folder = tmp_path_factory.mktemp("echo")
    partials = [{"audio_s": 1.0, "text": "Take the second"}, {"audio_s": 2.0, "text": "Take the second street on"}]
    (folder / "script.json").write_text(json.dumps({"partials": partials, "final": TEXT}))
    settings = {"script": folder / "script.json", "delay_ms": 20, "end_silence_ms": 400}
    with process.launch("echo", settings=settings, log_path=folder / "log") as server:
        yield server.url


@pytest.fixture(autouse=True)
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files go to a folder of the test's; no .env, no keys."""
    for name in ("ECHO_KEY", "RUNPOD_TCP_HOST", "RUNPOD_TCP_PORT", "RUNPOD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(quick, "LOOKS", tmp_path / "looks")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "looks" / "echo"


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A web server that says this to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def wait_for_sessions(url: str, least: int) -> None:
    """Until so many, or more, are running there; 0: none."""
    server = process.attach(url)
    limit_s = time.monotonic() + 30
    while True:
        now = int(server.status()["in_flight"])
        if (now == 0) == (least == 0) and now >= least:
            return
        assert time.monotonic() < limit_s
        time.sleep(0.05)
