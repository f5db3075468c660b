"""The real server around a model of known behaviour, run as a process by the tests.

A clip's first sample is its probability; 2 makes the model fail on the whole batch, 3 is answered with NaN. Each
call sleeps STUB_MS.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from fastapi import FastAPI

from servers.common.interfaces import Audio, ModelIdentity
from servers.common.serve import serve
from servers.common.settings import parse
from servers.smart_turn.app import create_app
from servers.smart_turn.settings import Settings


class Stub:
    warm = False

    def predict(self, batch: Sequence[Audio]) -> list[float]:
        if not self.warm:  # the first calls come before any request and are not to be slow
            self.warm = len(batch) > 1
            return [0.0] * len(batch)
        time.sleep(float(os.environ.get("STUB_MS", "0")) / 1000)
        first = [float(clip[0]) for clip in batch]
        if 2.0 in first:
            raise ArithmeticError("a bad row")
        return [float("nan") if value == 3.0 else value for value in first]


def create(settings: Settings) -> FastAPI:
    identity = ModelIdentity(model_id="stub", revision="1", sha256="")
    return create_app(settings, build=Stub, identity=identity, device="cpu", dtype="float32")


if __name__ == "__main__":
    sys.exit(serve(parse(Settings, sys.argv[1:]), create))
