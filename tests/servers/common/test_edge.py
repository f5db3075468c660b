"""Every way a request can end is answered in one shape, with its request id, over HTTP and WebSocket."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from servers.common.app import create_app
from servers.common.edge import accept_request_id
from servers.common.errors import BadInput, Overloaded, Unauthorized
from servers.common.settings import BaseServerSettings

ServeApp = Callable[[FastAPI], str]
FAULTS: dict[str, Exception] = {
    "bad": BadInput("not good", field="x", limit=7),
    "full": Overloaded("full", retry_after_s=2.5),
    "key": Unauthorized("a key is required"),
    "bug": ZeroDivisionError("secret detail"),
}


def faulty_app() -> FastAPI:
    router = APIRouter()

    @router.get("/raise/{name}")
    async def fail(name: str) -> None:
        raise FAULTS[name]

    @router.get("/number/{n}")
    async def number(n: int) -> int:
        return n

    @router.websocket("/before/{name}")
    async def before(websocket: WebSocket, name: str) -> None:
        raise FAULTS[name]

    @router.websocket("/after/{name}")
    async def after(websocket: WebSocket, name: str) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise FAULTS[name]

    return create_app(BaseServerSettings(), routers=[router])


@pytest.mark.parametrize(("name", "status", "code"), [("bad", 400, "bad_input"), ("full", 503, "at_capacity")])
def test_a_fault_becomes_its_status_and_body(serve_app: ServeApp, name: str, status: int, code: str) -> None:
    answer = httpx.get(f"http://{serve_app(faulty_app())}/raise/{name}")
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert answer.headers.get("retry-after") == ("3" if name == "full" else None)


def test_an_unforeseen_error_is_a_500_that_tells_nothing(serve_app: ServeApp, caplog: pytest.LogCaptureFixture) -> None:
    answer = httpx.get(f"http://{serve_app(faulty_app())}/raise/bug", headers={"X-Request-ID": "r1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == "r1"
    assert "secret detail" not in answer.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/raise/bad", 405, "method_not_allowed"),
        ("GET", "/number/x", 400, "bad_input"),
    ],
)
def test_the_frameworks_refusals_have_the_same_shape(
    serve_app: ServeApp, method: str, path: str, status: int, code: str
) -> None:
    answer = httpx.request(method, f"http://{serve_app(faulty_app())}{path}")
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "field", "limit"}
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(("name", "status"), [("bad", 400), ("key", 401), ("full", 503), ("bug", 500)])
def test_a_fault_before_the_upgrade_is_an_http_answer(serve_app: ServeApp, name: str, status: int) -> None:
    address = serve_app(faulty_app())
    with pytest.raises(InvalidStatus) as refusal, connect(f"ws://{address}/before/{name}"):
        pass
    assert refusal.value.response.status_code == status
    assert "code" in json.loads(refusal.value.response.body)["error"]


@pytest.mark.parametrize(("name", "code"), [("bad", 1007), ("key", 4001), ("full", 1013), ("bug", 1011)])
def test_a_fault_after_the_upgrade_is_a_close_code(serve_app: ServeApp, name: str, code: int) -> None:
    with connect(f"ws://{serve_app(faulty_app())}/after/{name}") as socket:
        socket.send("go")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
    assert socket.close_code == code


def test_a_long_reason_fits_into_a_close_frame(serve_app: ServeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAULTS, "bad", BadInput("é" * 200))
    with connect(f"ws://{serve_app(faulty_app())}/after/bad") as socket:
        socket.send("go")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
    assert (socket.close_code, socket.close_reason) == (1007, "é" * 61)


def test_the_request_id_is_echoed_on_both_protocols(serve_app: ServeApp) -> None:
    address = serve_app(faulty_app())
    answer = httpx.get(f"http://{address}/health", headers={"X-Request-ID": "r-1"})
    with connect(f"ws://{address}/after/bad", additional_headers={"X-Request-ID": "r-2"}) as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"] == "r-2"
    assert answer.headers["x-request-id"] == "r-1"


def test_without_a_request_id_each_request_gets_its_own(serve_app: ServeApp) -> None:
    address = serve_app(faulty_app())
    made = {httpx.get(f"http://{address}/health").headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3


@given(st.text())
def test_an_accepted_request_id_is_short_visible_ascii(given_id: str) -> None:
    accepted = accept_request_id(given_id)
    assert 1 <= len(accepted) <= 128
    assert all("!" <= letter <= "~" for letter in accepted)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128))
def test_a_good_request_id_is_kept(given_id: str) -> None:
    assert accept_request_id(given_id) == given_id


def wait_for(condition: Callable[[], bool]) -> None:
    """The edge keeps its books after the answer has left."""
    limit_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit_s
        time.sleep(0.01)


def test_the_access_line_shows_no_query(serve_app: ServeApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="servers")
    httpx.get(f"http://{serve_app(faulty_app())}/raise/bad?api_key=s3cret")
    wait_for(lambda: "GET /raise/bad" in caplog.messages)
    assert "s3cret" not in "".join(record.getMessage() for record in caplog.records if record.name != "httpx")


def test_every_fault_reaches_the_metrics(serve_app: ServeApp) -> None:
    address = serve_app(faulty_app())
    httpx.get(f"http://{address}/raise/bad")
    row = 'server_requests_total{route="/raise/{name}",status="400"} 1.0'
    wait_for(lambda: row in httpx.get(f"http://{address}/metrics").text)


def test_nothing_is_left_in_flight_after_a_fault(serve_app: ServeApp) -> None:
    app = faulty_app()
    address = serve_app(app)
    for name in FAULTS:
        httpx.get(f"http://{address}/raise/{name}")
    wait_for(lambda: app.state.lifecycle.in_flight == 0)


def test_while_draining_only_the_operators_routes_answer(serve_app: ServeApp) -> None:
    app = faulty_app()
    address = serve_app(app)
    app.state.lifecycle.begin_drain()
    refused = httpx.get(f"http://{address}/number/1")
    with pytest.raises(InvalidStatus) as upgrade, connect(f"ws://{address}/after/bad"):
        pass
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
    assert upgrade.value.response.status_code == 503
    assert httpx.get(f"http://{address}/ready").status_code == 503
    assert httpx.get(f"http://{address}/health").status_code == 200
