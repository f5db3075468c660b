"""The real server around the fake, run as a process by the tests. Each step takes STUB_MS and tells of STUB_HEADS."""

from __future__ import annotations

import os
import sys

from fastapi import FastAPI

from servers.common.interfaces import ModelIdentity
from servers.common.serve import serve
from servers.common.settings import parse
from servers.kyutai.__main__ import MAX_MESSAGE_BYTES
from servers.kyutai.app import create_app
from servers.kyutai.settings import Settings
from tests.servers.kyutai.fake import FakeListener


def create(settings: Settings) -> FastAPI:
    delay_s = float(os.environ.get("STUB_MS", "0")) / 1000
    heads = int(os.environ.get("STUB_HEADS", "4"))
    identity = ModelIdentity(model_id="fake", revision="1", sha256="")
    listener = FakeListener(settings.seats, delay_s=delay_s, pause_heads=heads)
    return create_app(settings, build=lambda: listener, identity=identity)


if __name__ == "__main__":
    given = os.environ.get("STUB_UNACKNOWLEDGED_S")
    unacknowledged_s = float(given) if given else None
    settings = parse(Settings, sys.argv[1:])
    sys.exit(serve(settings, create, unacknowledged_s=unacknowledged_s, max_message_bytes=MAX_MESSAGE_BYTES))
