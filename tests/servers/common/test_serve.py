"""What `serve` does about a port that is lost while the model loads. The rest: tests/servers/echo/test_serve.py."""

from __future__ import annotations

import subprocess
import sys

LATE_RIVAL = """
import socket, sys
from contextlib import asynccontextmanager
from servers.common.app import create_app
from servers.common.serve import serve
from servers.common.settings import BaseServerSettings

rival = socket.socket()
rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
rival.bind(("127.0.0.1", 0))

@asynccontextmanager
async def load_model():
    rival.listen()
    yield
    print("closed")

settings = BaseServerSettings(host="127.0.0.1", port=rival.getsockname()[1])
sys.exit(serve(settings, lambda given: create_app(given, routers=[], run=load_model)))
"""


def test_a_rival_that_listens_first_is_noticed_and_what_was_opened_is_closed() -> None:
    done = subprocess.run([sys.executable, "-c", LATE_RIVAL], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "closed\n")
    assert "is already in use" in done.stderr.splitlines()[-1]
