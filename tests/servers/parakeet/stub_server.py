"""The real server around the fakes, run as a process by the tests. Each model call takes STUB_MS."""

from __future__ import annotations

import os
import sys

from fastapi import FastAPI

from servers.common.interfaces import ModelIdentity
from servers.common.serve import serve
from servers.common.settings import parse
from servers.parakeet.app import create_app
from servers.parakeet.settings import Settings
from tests.servers.parakeet.fake import FakeDetector, FakeTranscriber


def create(settings: Settings) -> FastAPI:
    delay_s = float(os.environ.get("STUB_MS", "0")) / 1000
    identity = ModelIdentity(model_id="fake", revision="1", sha256="")
    return create_app(
        settings, build=lambda: FakeTranscriber(delay_s=delay_s), build_detector=FakeDetector, identity=identity
    )


if __name__ == "__main__":
    given = os.environ.get("STUB_UNACKNOWLEDGED_S")
    sys.exit(serve(parse(Settings, sys.argv[1:]), create, unacknowledged_s=float(given) if given else None))
