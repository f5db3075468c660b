"""`python -m servers.voxtral --flag=value`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from servers.common.auth import KeyCheck
from servers.common.errors import StartupRefused
from servers.common.garbage import leave
from servers.common.serve import serve
from servers.common.settings import parse
from servers.common.threads import pin_blas_threads
from servers.voxtral.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

UNACKNOWLEDGED_S = 40.0
"""A client whose machine acknowledges nothing, or takes nothing, for so long is gone."""


def main() -> int:
    """Settings first, so that a typo is told before anything heavy is imported."""
    pin_blas_threads()
    apps: list[FastAPI] = []

    def build(settings: Settings) -> FastAPI:
        apps.append(create(settings))
        return apps[0]

    code = serve(parse(Settings, sys.argv[1:]), build, unacknowledged_s=UNACKNOWLEDGED_S)
    if not code and apps and apps[0].state.refusal:
        # The engine could not be started, and the server has drained for that.
        sys.stderr.write(f"python -m servers.voxtral: {apps[0].state.refusal}\n")
        return 1
    return code


def create(settings: Settings) -> FastAPI:
    """The app with an engine of its own, or with the one at --engine-url; raises StartupRefused when it cannot run."""
    if not KeyCheck(settings.api_key).required:
        raise StartupRefused(
            "VOXTRAL_API_KEY is not set: this server takes no client without a key (several: comma separated)"
        )
    from servers.common.metrics import Metrics
    from servers.voxtral import weights
    from servers.voxtral.app import create_app
    from servers.voxtral.engine import Supervisor
    from servers.voxtral.speech import Hearing

    if settings.engine_url is None:
        weights.fetch(settings)
    identity, metrics = weights.identify(settings), Metrics(settings.server)
    engine = Supervisor(settings)
    engine.export(metrics.registry)
    return create_app(
        settings, engine=engine, hear=Hearing(settings, engine, metrics), identity=identity, metrics=metrics
    )


if __name__ == "__main__":
    leave(main())
