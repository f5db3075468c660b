"""`python -m servers.smart_turn --flag=value`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from servers.common.serve import serve
from servers.common.settings import parse
from servers.common.threads import pin_blas_threads
from servers.smart_turn.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI


def main() -> int:
    """Settings first, so that a typo is told before anything heavy is imported."""
    pin_blas_threads()
    return serve(parse(Settings, sys.argv[1:]), create)


def create(settings: Settings) -> FastAPI:
    """The app with the model that `settings` name; raises StartupRefused when its file is not there."""
    from servers.smart_turn import weights
    from servers.smart_turn.app import create_app
    from servers.smart_turn.model_v3 import DEVICE, DTYPE, SmartTurnV3

    path, identity = weights.locate(settings.model), weights.identify(settings)

    def build() -> SmartTurnV3:
        return SmartTurnV3(path, max_secs=settings.kept_secs)

    return create_app(settings, build=build, identity=identity, device=DEVICE, dtype=DTYPE)


if __name__ == "__main__":
    sys.exit(main())
