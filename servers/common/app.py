"""Puts a server's app together: lifespan, edge, operator routes, the server's own routers. Loads no model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from servers.common import ops
from servers.common.edge import Edge
from servers.common.errors import BadInput, StartupRefused
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.settings import BaseServerSettings


def create_app(
    settings: BaseServerSettings,
    *,
    routers: Sequence[APIRouter],
    lifecycle: Lifecycle | None = None,
    metrics: Metrics | None = None,
    run: Callable[[], AbstractAsyncContextManager[object]] | None = None,
    status: Callable[[], Mapping[str, Any]] = dict,
    healthy: Callable[[], bool] = lambda: True,
    health: Callable[[], Mapping[str, Any]] = dict,
    packages: Sequence[str] = (),
    ready_after_startup: bool = True,
) -> FastAPI:
    """An app with the common routes and rules.

    `run` is entered before the first request and left after the last (load and warm the model, start threads,
    open the trace). The server is ready once it is entered; with `ready_after_startup=False`, when it calls
    `lifecycle.mark_ready()` itself. `status` adds to /status, `packages` to its versions, `healthy` answers
    /health and `health` adds to it. The app's `state.lifecycle` and `state.metrics` are the ones in use.
    """
    lifecycle = lifecycle or Lifecycle()
    metrics = metrics or Metrics(settings.server)
    metrics.gauge("in_flight", "Requests and sessions running now", read=lambda: lifecycle.in_flight)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if run is not None:
                try:
                    await stack.enter_async_context(run())
                except StartupRefused as refusal:
                    app.state.refusal = str(refusal)
                    raise
            if ready_after_startup:
                lifecycle.mark_ready()
            yield

    app = FastAPI(title=settings.server, lifespan=lifespan, openapi_url=None)
    app.state.lifecycle, app.state.metrics, app.state.refusal = lifecycle, metrics, ""
    app.add_middleware(Edge, lifecycle=lifecycle, metrics=metrics, open_paths=ops.PATHS)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.include_router(
        ops.create_router(
            settings,
            lifecycle=lifecycle,
            metrics=metrics,
            status=status,
            healthy=healthy,
            health=health,
            packages=packages,
        )
    )
    for router in routers:
        app.include_router(router)
    return app


async def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    """The framework's own refusals (no such route, wrong method) in the servers' error shape."""
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    body = {"error": {"code": code, "message": error.detail, "field": None, "limit": None}}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


async def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    """The framework's check of declared parameters, as the fault that says the same."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    fault = BadInput(str(first["msg"]), field=".".join(str(part) for part in first["loc"]))
    return JSONResponse(fault.body(), status_code=fault.status)
