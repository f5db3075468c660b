"""The routes every server has for its operator: /health /ready /status /metrics."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from servers.common.auth import KeyCheck
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import CONTENT_TYPE, Metrics
from servers.common.settings import BaseServerSettings, effective

PATHS = ("/health", "/ready", "/status", "/metrics")
_PACKAGES = ("fastapi", "starlette", "uvicorn", "numpy")


def create_router(
    settings: BaseServerSettings,
    *,
    lifecycle: Lifecycle,
    metrics: Metrics,
    status: Callable[[], Mapping[str, Any]],
    healthy: Callable[[], bool],
    health: Callable[[], Mapping[str, Any]] = dict,
    packages: Sequence[str] = (),
) -> APIRouter:
    """`status` gives what only the server knows (model, device, dtype, queue_depth ...) and wins; `health` adds to
    /health (free seats, where there are seats)."""
    router = APIRouter()
    guard = KeyCheck(settings.status_key)
    versions = versions_of((*_PACKAGES, *packages))

    @router.get("/health")
    async def show_health() -> JSONResponse:
        alive = healthy()
        return JSONResponse({"ok": alive, **health()}, status_code=200 if alive else 503)

    @router.get("/ready")
    async def ready() -> JSONResponse:
        state = "draining" if lifecycle.draining else "ready" if lifecycle.ready else "starting"
        return JSONResponse({"ready": lifecycle.serving, "state": state}, 200 if lifecycle.serving else 503)

    @router.get("/status")
    async def show_status(request: Request) -> JSONResponse:
        guard.check(request)
        common: dict[str, Any] = {
            "server": settings.server,
            "settings": effective(settings),
            "model": {"model_id": "", "revision": "", "sha256": ""},
            "device": "none",
            "dtype": "none",
            "versions": versions,
            "uptime_s": round(lifecycle.uptime_s, 3),
            "pid": os.getpid(),
            "ready": lifecycle.serving,
            "draining": lifecycle.draining,
            "in_flight": lifecycle.in_flight,
            "queue_depth": 0,
        }
        return JSONResponse({**common, **status()})

    @router.get("/metrics")
    async def show_metrics(request: Request) -> Response:
        guard.check(request)
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return router


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Of Python and of each package that is installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
