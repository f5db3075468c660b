"""`python -m servers.kyutai --flag=value`."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from servers.common.devices import check_device, check_runtime
from servers.common.errors import StartupRefused
from servers.common.garbage import leave
from servers.common.serve import serve
from servers.common.settings import parse
from servers.common.threads import pin_blas_threads
from servers.kyutai import config_toml
from servers.kyutai.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from servers.kyutai.interfaces import Listener

_log = logging.getLogger("servers.kyutai")
RUNTIME = ("torch", "transformers")
UNANSWERED_S = 40.0
"""A client whose machine acknowledges nothing for so long is gone."""
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Of one WebSocket message, as moshi-server's."""


def main() -> int:
    """Settings first, so that a typo is told before anything heavy is imported."""
    pin_blas_threads()
    return serve(
        parse(Settings, sys.argv[1:]), create, unacknowledged_s=UNANSWERED_S, max_message_bytes=MAX_MESSAGE_BYTES
    )


def create(settings: Settings) -> FastAPI:
    """The app with the model that `settings` name; raises StartupRefused when it cannot run here."""
    if not settings.keys:
        raise StartupRefused(
            "KYUTAI_API_KEY is not set: this server takes no client without a key (several: comma separated)"
        )
    check_runtime(RUNTIME, server=settings.server)
    check_device(settings.device, variable="KYUTAI_DEVICE")
    from servers.kyutai import weights
    from servers.kyutai.app import create_app

    for name in config_toml.read(settings.config).without_effect if settings.config else ():
        _log.warning("%s: %s has no effect here", settings.config, name)
    weights.fetch(settings)

    def build() -> Listener:
        from servers.kyutai.model.load import open_listener

        return open_listener(settings)

    return create_app(settings, build=build, identity=weights.identify(settings))


if __name__ == "__main__":
    leave(main())
