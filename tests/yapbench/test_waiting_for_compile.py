"""A trial waits for the server's compiler: until it is ready or has failed, not for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from yapbench.errors import ServerNotReady
from yapbench.process import Server

pytestmark = pytest.mark.slow  # real processes


@contextmanager
def server(*states: str) -> Iterator[Server]:
    """A server whose /status says these states one after the other, the last one for good."""
    told = list(states)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            facts = {"state": told[0], "shapes_ready": 1, "shapes": 4, "seconds": 0.5, "error": None}
            if len(told) > 1:
                told.pop(0)
            body = json.dumps({"compile": facts} if facts["state"] else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as real:
        thread = threading.Thread(target=real.serve_forever)
        thread.start()
        yield Server(name="smart_turn", url=f"http://127.0.0.1:{real.server_port}")
        real.shutdown()
        thread.join()


@pytest.mark.parametrize("end", ["ready", "failed", "off", ""])
def test_the_status_of_the_end_is_returned(end: str) -> None:
    with server(*(["waiting", "compiling"] if end in ("ready", "failed") else []), end) as found:
        status = found.wait_until_compiled(30)

    assert (status.get("compile") or {}).get("state", "") == end


def test_a_compiler_that_does_not_end_is_an_error_that_says_how_far_it_came() -> None:
    with server("compiling") as found, pytest.raises(ServerNotReady, match="still compiling after 0 s: 1 of 4 shapes"):
        found.wait_until_compiled(0)
