"""The smart-turn wire: one `np.save` body by `POST /raw`, one JSON answer.

Knows the route, its statuses and what aiohttp lets us stamp; knows nothing of levels, phases or schedules.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import time
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import aiohttp
import numpy as np
from aiohttp.abc import AbstractStreamWriter

from yapbench.clients.interface import Audio, Event, Exchange, outcome_of_status, storable
from yapbench.corpus import Utterance
from yapbench.schema import Outcome

REQUEST_ID: Final = "X-Request-ID"
BEARER: Final = "YAPBENCH_BEARER"
"""Environment variable with the key of a proxy before the server; it goes as Bearer, the server's own as X-API-Key."""

# Below uvicorn's default of 5 s: we close an idle connection before the server can, so that a request is
# never written into a connection that is just being closed and counted as a death of the server.
_IDLE_S: Final = 4.0
_ERROR_TEXT_LIMIT: Final = 500


class _Body(aiohttp.payload.Payload):
    """A body that stamps its own departure.

    aiohttp holds the headers back and sends them with the first piece of the body, so the moment before that
    write is the first byte's. With the transport's high-water mark at 0, `drain` returns when the last byte
    has left the process, that is: lies in the kernel's socket buffer. What the network does with it then
    cannot be seen from here.
    """

    _value: bytes

    def __init__(self, value: bytes, *, content_type: str) -> None:
        super().__init__(value, content_type=content_type)
        self._size = len(value)
        self.sent_ns: int | None = None
        self.sent_end_ns: int | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("an array is no text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        transport = getattr(writer, "transport", None)
        if transport is not None:
            transport.set_write_buffer_limits(high=0)
        self.sent_ns = time.monotonic_ns()
        await writer.write(self._value)
        await writer.drain()
        self.sent_end_ns = time.monotonic_ns()

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await self.write(writer)


class SmartTurnClient:
    """One user with one kept-alive connection. Other wires of one body and one answer are subclasses."""

    sample_rate_hz = 16_000
    key_variable = "AUTH_KEY"
    route = "/raw"
    content_type = "application/octet-stream"
    answer_kind = "answer"

    def __init__(self, url: str, *, timeout_s: float, environment: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        key = environment.get(self.key_variable, "").split(",")[0].strip()  # a server may have several
        # The answer is wanted as it is: unpacking would be our own time in the server's latency.
        self._headers = {"Accept-Encoding": "identity"} | key_headers(key, environment.get(BEARER, "").strip())
        self._session: aiohttp.ClientSession | None = None
        self._connect_start_ns: int | None = None
        self._connected_ns: int | None = None

    def prepare(self, utterance: Utterance, audio: Audio) -> bytes:
        """The `np.save` bytes of the samples, little-endian float32."""
        file = io.BytesIO()
        np.save(file, np.ascontiguousarray(audio, dtype="<f4"))
        return file.getvalue()

    async def connect(self) -> None:
        """Open the connection by a GET /health of no matter what answer; the next exchange gets the stamps."""
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._open().get(f"{self._url}/health", allow_redirects=False) as response:
                    await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return

    async def exchange(self, payload: bytes, request_id: str, *, intended_ns: int) -> Exchange:
        """Send one body and read its answer; see `Client.exchange`."""
        body = _Body(payload, content_type=self.content_type)
        status: int | None = None
        events: tuple[Event, ...] = ()
        ended_ns: int | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                headers = {REQUEST_ID: request_id, **self._headers}
                async with self._open().post(
                    f"{self._url}{self.route}", data=body, headers=headers, allow_redirects=False
                ) as response:
                    status = response.status
                    raw = await response.read()
                    ended_ns = time.monotonic_ns()
            text, fault = self.read(raw) if status == 200 else (None, None)
            outcome, error = _judge(status, raw, fault, request_id, response.headers.get(REQUEST_ID))
            kind = self.answer_kind if status == 200 else "error"
            events = (Event(at_ns=ended_ns, kind=kind, text=text, data=_as_json(raw)),)
        except TimeoutError as cause:  # also aiohttp's own, which are TimeoutErrors as well as ClientErrors
            outcome, error = Outcome.TIMEOUT, str(cause) or f"no answer within {self._timeout_s:g} s"
        except aiohttp.ClientConnectorError as cause:
            outcome, error = Outcome.REFUSED, str(cause)
        except aiohttp.ClientResponseError as cause:
            outcome, error = Outcome.PROTOCOL, f"not HTTP: {cause.message}"
        except (aiohttp.ClientError, OSError) as cause:
            outcome, error = Outcome.SERVER_DIED, str(cause) or type(cause).__name__
        connect_start_ns, connected_ns = self._connect_start_ns, self._connected_ns
        self._connect_start_ns = self._connected_ns = None
        return Exchange(
            outcome=outcome,
            ended_ns=time.monotonic_ns() if ended_ns is None else ended_ns,
            events=events,
            sent_ns=body.sent_ns,
            sent_end_ns=body.sent_end_ns,
            connect_start_ns=connect_start_ns,
            connected_ns=connected_ns,
            lateness_ns=() if body.sent_ns is None else (body.sent_ns - intended_ns,),
            status=status,
            error=error,
        )

    def read(self, raw: bytes) -> tuple[str | None, str | None]:
        """The transcript in the body of a 200, where there is one, and what the contract does not allow in it."""
        return None, _fault_in(raw)

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_create_start.append(self._on_connect_start)
            trace.on_connection_create_end.append(self._on_connected)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=_IDLE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
                auto_decompress=False,
            )
        return self._session

    async def _on_connect_start(self, *_: object) -> None:
        self._connect_start_ns, self._connected_ns = time.monotonic_ns(), None

    async def _on_connected(self, *_: object) -> None:
        self._connected_ns = time.monotonic_ns()


def key_headers(key: str, bearer: str) -> dict[str, str]:
    """The headers of the server's key and of a proxy's; either may be empty."""
    if bearer:
        return {"Authorization": f"Bearer {bearer}"} | ({"X-API-Key": key} if key else {})
    return {"Authorization": f"Key {key}"} if key else {}


def _judge(
    status: int, raw: bytes, fault: str | None, asked_id: str, answered_id: str | None
) -> tuple[Outcome, str | None]:
    """How an answer that came whole is counted, and its words if it is a failure."""
    if status == 200:
        # A server without request ids cannot be asked whose answer this is; one with ids must name ours.
        if answered_id is not None and answered_id != asked_id:
            return Outcome.WRONG_RESULT, f"asked {asked_id!r}, the answer is for {answered_id!r}"
        return (Outcome.PROTOCOL, fault) if fault else (Outcome.OK, None)
    outcome, error = outcome_of_status(status), words_of(raw)
    return outcome, f"status {status}: {error}" if outcome is Outcome.PROTOCOL else error


def _fault_in(raw: bytes) -> str | None:
    """What the contract does not allow in this body of a 200, or None."""
    answer = parse(raw)
    if not isinstance(answer, dict):
        return f"not a JSON object: {excerpt(raw)}"
    prediction, probability, metrics = (answer.get(name) for name in ("prediction", "probability", "metrics"))
    if isinstance(prediction, bool) or prediction not in (0, 1):
        return f"prediction is {prediction!r}, not 0 or 1"
    if not _is_number(probability) or not 0 <= probability <= 1:
        return f"probability is {probability!r}, not a number from 0 to 1"
    if not isinstance(metrics, dict):
        return f"metrics is {metrics!r}, not an object"
    for name in ("inference_time", "total_time"):
        if not _is_number(metrics.get(name)):
            return f"metrics.{name} is {metrics.get(name)!r}, not a number of seconds"
    return None


def _is_number(value: object) -> TypeGuard[float]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def words_of(raw: bytes) -> str:
    """`code: message` of the error contract, else the start of whatever came."""
    answer = parse(raw)
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict) and "code" in error:
        return storable(f"{error['code']}: {error.get('message', '')}"[:_ERROR_TEXT_LIMIT])
    return excerpt(raw)


def _as_json(raw: bytes) -> str:
    """The message as JSON text: itself where it is JSON, else quoted."""
    return raw.decode() if parse(raw) is not None else json.dumps(excerpt(raw))


def parse(raw: bytes) -> Any:
    """The JSON value, or None where it is none."""
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested as no honest answer is
        return None


def excerpt(raw: bytes) -> str:
    """The beginning of whatever came, as text."""
    return raw[:_ERROR_TEXT_LIMIT].decode(errors="replace")
