"""`python -m servers.smart_turn --flag=value`."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers.common.errors import StartupRefused
from servers.common.serve import serve
from servers.common.settings import parse
from servers.common.threads import pin_blas_threads
from servers.smart_turn.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from servers.smart_turn.model_v2 import SmartTurnV2

COMPILE_CACHE = Path("~/.cache/yapbench/compiled")
"""Kept across starts; PyTorch's own default is emptied at boot."""


def main() -> int:
    """Settings first, so that a typo is told before anything heavy is imported."""
    pin_blas_threads()
    return serve(parse(Settings, sys.argv[1:]), create)


def create(settings: Settings) -> FastAPI:
    """The app with the model that `settings` name; raises StartupRefused when it cannot run here."""
    return _create_v3(settings) if settings.backend == "v3-onnx" else _create_v2(settings)


def _create_v3(settings: Settings) -> FastAPI:
    from servers.smart_turn import weights
    from servers.smart_turn.app import create_app
    from servers.smart_turn.model_v3 import DEVICE, DTYPE, SmartTurnV3

    path, identity = weights.locate(settings.model), weights.identify(settings)

    def build() -> SmartTurnV3:
        return SmartTurnV3(path, max_secs=settings.kept_secs)

    return create_app(settings, build=build, identity=identity, device=DEVICE, dtype=DTYPE)


def _create_v2(settings: Settings) -> FastAPI:
    from servers.smart_turn import weights
    from servers.smart_turn.app import count_sessions, create_app

    _prepare_torch(settings)
    from servers.smart_turn import model_v2

    device = model_v2.choose_device(settings.device)
    if settings.cuda_graphs and device.type != "cuda":
        raise StartupRefused(f"--cuda-graphs (CUDA_GRAPHS) needs a CUDA device; this server runs on {device}")
    weights.fetch(settings)
    shared = _Shared(settings)
    return create_app(
        settings,
        build=shared.build,
        identity=weights.identify(settings),
        device=str(device),
        dtype=str(model_v2.choose_dtype(settings.dtype, device)),
        sessions=settings.sessions or (1 if device.type == "cuda" else count_sessions(settings)),
        model_status=shared.status,
    )


def _prepare_torch(settings: Settings) -> None:
    """What PyTorch reads when it is imported; StartupRefused when it is not installed."""
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", settings.pytorch_cuda_alloc_conf)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(COMPILE_CACHE.expanduser()))
    if importlib.util.find_spec("torch") is None:
        remedy = "pip install -r servers/smart_turn/requirements-torch.txt, or yapbench install smart_turn --model=v2"
        raise StartupRefused(f"--model={settings.model} needs PyTorch, which {sys.executable} does not have: {remedy}")


class _Shared:
    """One v2 model for all sessions: its weights are only read."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._detector: SmartTurnV2 | None = None

    def build(self) -> SmartTurnV2:
        """Called in each session's thread; the first one loads."""
        with self._lock:
            if self._detector is None:
                self._detector = self._load()
            return self._detector

    def status(self) -> Mapping[str, Any]:
        return {} if self._detector is None else self._detector.swap.status()

    def _load(self) -> SmartTurnV2:
        from servers.smart_turn import weights
        from servers.smart_turn.model_v2 import SmartTurnV2, choose_device, choose_dtype
        from servers.smart_turn.model_v2_load import load_network, random_network

        settings = self._settings
        device = choose_device(settings.device)
        compiled = device.type == "cuda" if settings.torch_compile is None else settings.torch_compile
        is_random = settings.model == "random"
        detector = SmartTurnV2(
            random_network() if is_random else load_network(weights.locate_v2(settings)),
            device=device,
            dtype=choose_dtype(settings.dtype, device),
            batch_buckets=settings.batch_buckets,
            max_secs=settings.kept_secs,
            torch_compile=compiled,
            cuda_graphs=bool(settings.cuda_graphs),
        )
        detector.warm()
        detector.swap.start()
        return detector


if __name__ == "__main__":
    sys.exit(main())
