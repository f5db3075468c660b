"""The real server around the fakes, run as a process by the tests.

STUB_REFUSAL: why its engine does not start. STUB_UNACKNOWLEDGED_S: instead of the program's own.
"""

from __future__ import annotations

import os
import sys

from fastapi import FastAPI

from servers.common.interfaces import ModelIdentity
from servers.voxtral import __main__ as program
from servers.voxtral.app import create_app
from servers.voxtral.settings import Settings
from tests.servers.voxtral.fake_engine import FakeEngine, FakeHearing


def create(settings: Settings) -> FastAPI:
    engine = FakeEngine(refusal=os.environ.get("STUB_REFUSAL", ""))
    identity = ModelIdentity(model_id="fake", revision="1", sha256="")
    return create_app(settings, engine=engine, hear=FakeHearing(), identity=identity)


if __name__ == "__main__":
    program.create = create
    program.UNACKNOWLEDGED_S = float(os.environ.get("STUB_UNACKNOWLEDGED_S", program.UNACKNOWLEDGED_S))
    sys.exit(program.main())
