"""What the operator sees: health, readiness, status, metrics, and who may see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from servers.common.app import create_app
from servers.common.lifecycle import Lifecycle
from servers.common.settings import BaseServerSettings

ServeApp = Callable[[FastAPI], str]
KEYS = {"server", "settings", "model", "device", "dtype", "versions", "uptime_s", "pid", "queue_depth"}


def test_status_has_the_keys_that_the_harness_reads(serve_app: ServeApp) -> None:
    app = create_app(BaseServerSettings(port=1234), routers=[], status=lambda: {"device": "cpu", "extra": 1})
    status = httpx.get(f"http://{serve_app(app)}/status").json()
    assert set(status) >= KEYS
    assert set(status["model"]) == {"model_id", "revision", "sha256"}
    assert (status["settings"]["port"], status["device"], status["extra"]) == (1234, "cpu", 1)


def test_the_status_key_guards_status_and_metrics_only(serve_app: ServeApp) -> None:
    address = serve_app(create_app(BaseServerSettings(status_key=SecretStr("k")), routers=[]))
    statuses = {
        path: httpx.get(f"http://{address}{path}").status_code for path in ("/health", "/ready", "/status", "/metrics")
    }
    allowed = httpx.get(f"http://{address}/status", headers={"Authorization": "Bearer k"})
    assert statuses == {"/health": 200, "/ready": 200, "/status": 401, "/metrics": 401}
    assert allowed.status_code == 200
    assert allowed.json()["settings"]["status_key"] == "***"


def test_ready_waits_for_the_server_that_wants_it(serve_app: ServeApp) -> None:
    lifecycle = Lifecycle()
    app = create_app(BaseServerSettings(), routers=[], lifecycle=lifecycle, ready_after_startup=False)
    address = serve_app(app)
    assert httpx.get(f"http://{address}/ready").json() == {"ready": False, "state": "starting"}
    lifecycle.mark_ready()
    assert httpx.get(f"http://{address}/ready").status_code == 200


def test_a_sick_server_says_so(serve_app: ServeApp) -> None:
    answer = httpx.get(
        f"http://{serve_app(create_app(BaseServerSettings(), routers=[], healthy=lambda: False))}/health"
    )
    assert (answer.status_code, answer.json()) == (503, {"ok": False})


def test_metrics_of_two_apps_do_not_collide(serve_app: ServeApp) -> None:
    addresses = [serve_app(create_app(BaseServerSettings(), routers=[])) for _ in range(2)]
    httpx.get(f"http://{addresses[0]}/health")
    shown = httpx.get(f"http://{addresses[1]}/metrics").text
    assert "server_in_flight 0.0" in shown
    assert 'route="/health"' not in shown


async def test_what_run_opened_is_closed() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        events.append("opened")
        yield
        events.append("closed")

    app = create_app(BaseServerSettings(), routers=[], run=run)
    async with app.router.lifespan_context(app):
        assert app.state.lifecycle.ready
    assert events == ["opened", "closed"]
