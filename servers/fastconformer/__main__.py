"""`python -m servers.fastconformer --flag=value`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from servers.common.devices import check_device, check_runtime
from servers.common.garbage import leave
from servers.common.serve import serve
from servers.common.settings import parse
from servers.common.threads import pin_blas_threads
from servers.fastconformer.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from servers.common.interfaces import StreamingRecognizer
    from servers.fastconformer.heard import Heard

RUNTIME = ("torch", "nemo")
UNANSWERED_S = 40.0
"""A client whose machine acknowledges nothing for so long is gone."""


def main() -> int:
    """Settings first, so that a typo is told before anything heavy is imported."""
    pin_blas_threads()
    return serve(parse(Settings, sys.argv[1:]), create, unacknowledged_s=UNANSWERED_S)


def create(settings: Settings) -> FastAPI:
    """The app with the model that `settings` name; raises StartupRefused when it cannot run here."""
    check_runtime(RUNTIME, server=settings.server)
    check_device(settings.device, variable="ASR_DEVICE")
    from servers.fastconformer import weights
    from servers.fastconformer.app import create_app

    weights.fetch(settings)

    def build() -> StreamingRecognizer[Heard]:
        from servers.fastconformer.model_load import open_recognizer

        return open_recognizer(settings)

    return create_app(settings, build=build, identity=weights.identify(settings))


if __name__ == "__main__":
    leave(main())
