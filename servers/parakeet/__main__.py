"""`python -m servers.parakeet --flag=value`."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from servers.common.devices import cuda_is_visible
from servers.common.errors import StartupRefused
from servers.common.garbage import leave
from servers.common.serve import serve
from servers.common.settings import parse
from servers.common.threads import pin_blas_threads
from servers.parakeet.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from servers.parakeet.interfaces import SpeechDetector, Transcriber

RUNTIME = ("torch", "nemo", "onnxruntime", "silero_vad")
UNANSWERED_S = 40.0
"""A client whose machine acknowledges nothing for so long is gone."""


def main() -> int:
    """Settings first, so that a typo is told before anything heavy is imported."""
    pin_blas_threads()
    return serve(parse(Settings, sys.argv[1:]), create, unacknowledged_s=UNANSWERED_S)


def create(settings: Settings) -> FastAPI:
    """The app with the model that `settings` name; raises StartupRefused when it cannot run here."""
    _check_runtime()
    _check_device(settings.device)
    from servers.parakeet import weights
    from servers.parakeet.app import create_app

    weights.fetch(settings)

    def build() -> Transcriber:
        from servers.parakeet.model_load import open_transcriber

        return open_transcriber(settings)

    def build_detector() -> SpeechDetector:
        from servers.parakeet.vad import Silero

        return Silero()

    return create_app(settings, build=build, build_detector=build_detector, identity=weights.identify(settings))


def _check_device(device: str) -> None:
    """Before ten seconds of imports: model_load.py looks closer, once there is a runtime to ask."""
    if device.startswith("cuda") and not cuda_is_visible():
        raise StartupRefused(f"--device={device} (DEVICE): no CUDA device is visible; --device=cpu runs on the CPU")


def _check_runtime() -> None:
    missing = [name for name in RUNTIME if importlib.util.find_spec(name) is None]
    if missing:
        lacking = " and ".join(missing)
        raise StartupRefused(
            f"this server needs {lacking}, which {sys.executable} does not have: "
            "`yapbench install parakeet`, then `yapbench up parakeet`"
        )


if __name__ == "__main__":
    leave(main())
