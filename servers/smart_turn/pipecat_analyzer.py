"""Pipecat's end-of-turn detection by a Smart Turn server: `POST /raw`, never an exception into the pipeline.

For pipecat-ai 1.14, whose own HttpSmartTurnAnalyzer sends nothing. This one file is enough: import it or copy it
into a bot (docs/pipecat.md). It knows the wire format and Pipecat's base class, nothing of the server's inside.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import json
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias

import aiohttp
import numpy as np
from loguru import logger  # what Pipecat itself logs with, and depends on
from numpy.typing import NDArray
from pipecat.audio.turn.base_turn_analyzer import EndOfTurnState
from pipecat.audio.turn.smart_turn.base_smart_turn import BaseSmartTurn, SmartTurnParams
from pipecat.metrics.metrics import MetricsData

DEFAULT_TIMEOUT_MS = 1000.0
"""Short on purpose: while Pipecat waits, its frames wait too, so a user who goes on speaking is not noticed."""

MAX_HOLD_OFF_S = 5.0
"""Longest obeyed Retry-After: a server that asks for an hour must not switch detection off for a call."""

LOG_INTERVAL_S = 60.0
"""One line per kind of failure in this time."""

Found: TypeAlias = tuple[EndOfTurnState, MetricsData | None]


class Predictor(Protocol):
    """What a fallback has to have; Pipecat's local analyzers do. `set_sample_rate` is called if it is there."""

    def _predict_endpoint(self, audio_array: NDArray[np.float32]) -> dict[str, Any]:
        """float32 of shape (n,) at the pipeline's rate to {"prediction": 0 or 1, "probability": 0..1}."""


class SmartTurnAnalyzer(BaseSmartTurn):
    """Asks a Smart Turn server at each pause of the user whether the turn is complete.

    When the server does not answer (any reason), `fallback` is asked, if there is one; else the outcome is
    `when_unanswered`. Each failure is counted in `failures` by kind: http_STATUS, held_off (no request, because the
    server's Retry-After runs), timeout, connection, not_json, bad_answer, error; fallback_failed, fallback_late.
    `answered` counts the server's own answers, `fallback_answered` the fallback's.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str | None = None,
        session: aiohttp.ClientSession | None = None,
        timeout_ms: float | None = None,
        threshold: float | None = None,
        fallback: Predictor | Literal["local"] | None = None,
        when_unanswered: EndOfTurnState = EndOfTurnState.INCOMPLETE,
        sample_rate: int | None = None,
        params: SmartTurnParams | None = None,
    ) -> None:
        """`url` is the whole address, .../raw. `key` is sent as Authorization: Key <key>.

        `session` stays the caller's to close; without one the analyzer opens its own and closes it in cleanup().
        `timeout_ms` covers one pause's request, connecting included (default: 1000, or half of stop_secs if that is
        less). `threshold` in 0..1: a probability above it is complete, whatever the answer's prediction says; None
        leaves that to the server. `fallback="local"` builds Pipecat's LocalSmartTurnAnalyzerV3 at the first failure.

        Raises ValueError for a timeout that is not below params.stop_secs, and for a threshold outside 0..1.
        """
        super().__init__(sample_rate=sample_rate, params=params)
        stop_ms = self._params.stop_secs * 1000
        self._timeout_s = (min(DEFAULT_TIMEOUT_MS, stop_ms / 2) if timeout_ms is None else timeout_ms) / 1000
        if not 0 < self._timeout_s * 1000 < stop_ms:
            raise ValueError(f"timeout_ms must be above 0 and below stop_secs ({stop_ms:g} ms), not {timeout_ms}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be within 0..1, not {threshold}")
        self.failures: Counter[str] = Counter()
        self.answered = self.fallback_answered = 0
        self._url, self._threshold, self._unanswered = url, threshold, when_unanswered
        self._headers = {"Content-Type": "application/octet-stream", "Accept": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Key {key}"
        self._given_session = session
        self._own_session: aiohttp.ClientSession | None = None
        self._fallback = fallback
        self._fallback_thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._held_until_s = 0.0
        self._log_times: dict[str, float] = {}
        self._calls: set[_Call] = set()
        self._local = threading.local()

    async def analyze_end_of_turn(self) -> Found:
        """Pipecat's question at a pause. The metrics are None when neither server nor fallback answered."""
        loop = asyncio.get_running_loop()
        call = _Call(loop)
        self._calls.add(call)
        try:
            found = await loop.run_in_executor(self._model_executor, self._judge, call, list(self._audio_buffer))
        finally:
            self._calls.discard(call)
            call.withdraw()  # finished, or Pipecat cancelled the analysis: nobody waits for this answer
        if found[0] == EndOfTurnState.COMPLETE:
            self._clear(found[0])
        return found

    def clear(self) -> None:
        """Pipecat ended the turn by other means: forgets its audio and withdraws the request for it."""
        for call in self._calls:
            call.withdraw()
        super().clear()  # type: ignore[no-untyped-call]

    async def cleanup(self) -> None:
        """Withdraws what is under way and closes the own session. The analyzer stays usable, as Pipecat expects."""
        for call in self._calls:
            call.withdraw()
        if self._fallback_thread is not None:
            self._fallback_thread.shutdown(wait=False, cancel_futures=True)
            self._fallback_thread = None
        session, self._own_session = self._own_session, None
        if session is not None:
            await session.close()
        await super().cleanup()  # type: ignore[no-untyped-call]

    def _judge(self, call: _Call, audio_buffer: list[Any]) -> Found:
        """In the analyzer's thread. The base class cuts the segment and comes back with it to _predict_endpoint."""
        self._local.call = call
        state, metrics = self._process_speech_segment(audio_buffer)
        return state, metrics if call.is_answered else None

    def _predict_endpoint(self, audio_array: NDArray[np.float32]) -> dict[str, Any]:
        call: _Call = self._local.call
        found: dict[str, Any] | None
        try:
            found = call.run(partial(self._ask, _serialize(audio_array)), timeout_s=self._timeout_s + 1)
            self.answered += 1
        except _Unanswered as failure:
            self._note(failure.kind, failure.detail)
            found = self._ask_fallback(audio_array, call)
        except concurrent.futures.CancelledError:
            return {"prediction": 0, "probability": 0.0}
        if found is None:
            return {"prediction": int(self._unanswered == EndOfTurnState.COMPLETE), "probability": 0.0}
        call.is_answered = True
        return found

    async def _ask(self, body: bytes) -> dict[str, Any]:
        """The server's answer; _Unanswered for whatever else happens."""
        wait_s = self._held_until_s - time.monotonic()
        if wait_s > 0:
            raise _Unanswered("held_off", f"the server asked for a pause; {wait_s:.1f} s of it are left")
        request_id = uuid.uuid4().hex
        headers = {**self._headers, "X-Request-ID": request_id}
        if self.sample_rate:
            headers["X-Sample-Rate"] = str(self.sample_rate)
        try:
            async with asyncio.timeout(self._timeout_s):
                status, retry_after, text = await self._post(body, headers)
        except TimeoutError:
            raise _Unanswered("timeout", f"no answer within {self._timeout_s:g} s, request {request_id}") from None
        except (aiohttp.ClientError, OSError) as fault:
            raise _Unanswered("connection", f"{type(fault).__name__}: {fault}") from fault
        except Exception as fault:  # the edge to the pipeline: a user's session can fail in ways of its own
            raise _Unanswered("error", f"{type(fault).__name__}: {fault}") from fault
        if status != 200:
            self._held_until_s = time.monotonic() + (retry_after if status in (429, 503) else 0.0)
            raise _Unanswered(f"http_{status}", f"{text[:200]!r}, request {request_id}")
        try:
            return self._check(json.loads(text))
        except (ValueError, RecursionError):
            raise _Unanswered("not_json", f"{text[:200]!r}") from None

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, float, bytes]:
        """Status, Retry-After (s), body. Asked twice (it does no harm) when the server closed a kept connection."""
        try:
            return await self._post_once(body, headers)
        except (aiohttp.ServerDisconnectedError, ConnectionResetError):
            return await self._post_once(body, headers)

    async def _post_once(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, float, bytes]:
        session = self._given_session or self._own_session
        if session is None:
            session = self._own_session = aiohttp.ClientSession()
        # No redirects: the key would go along.
        async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            return response.status, _read_seconds(response.headers.get("Retry-After")), await response.read()

    def _ask_fallback(self, audio: NDArray[np.float32], call: _Call) -> dict[str, Any] | None:
        """The fallback's answer, if it comes before stop_secs are over: later, silence has ended the turn anyway."""
        if self._fallback is None:
            return None
        if self._fallback_thread is None:
            self._fallback_thread = concurrent.futures.ThreadPoolExecutor(1, "smart-turn-fallback")
        left_s = max(0.0, self._params.stop_secs - (time.monotonic() - call.started_s))
        try:
            answer = self._fallback_thread.submit(self._run_fallback, audio)
            if not concurrent.futures.wait([answer], left_s).done:
                answer.cancel()
                self._note("fallback_late", f"no answer within the {left_s:.2f} s that were left")
                return None
            found = answer.result()
        except Exception as fault:  # the edge to somebody else's model
            self._note("fallback_failed", f"{type(fault).__name__}: {fault}")
            return None
        self.fallback_answered += 1
        return found

    def _run_fallback(self, audio: NDArray[np.float32]) -> dict[str, Any]:
        """In a thread of its own, so that the analyzer can stop waiting for it."""
        if self._fallback == "local":
            from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

            self._fallback = LocalSmartTurnAnalyzerV3(cpu_count=1)
        predictor: Any = self._fallback
        if hasattr(predictor, "set_sample_rate"):
            predictor.set_sample_rate(self.sample_rate)
        return self._check(predictor._predict_endpoint(audio))

    def _check(self, answer: object) -> dict[str, Any]:
        """The prediction and its probability, by the caller's threshold if there is one."""
        match answer:  # NaN fails the comparison
            case {"prediction": 0 | 1 as prediction, "probability": float() | int() as probability} if (
                0 <= probability <= 1
            ):
                is_complete = prediction == 1 if self._threshold is None else probability > self._threshold
                return {"prediction": int(is_complete), "probability": float(probability)}
        raise _Unanswered("bad_answer", f"{answer!r}"[:200])

    def _note(self, kind: str, detail: str) -> None:
        self.failures[kind] += 1
        now_s = time.monotonic()
        if now_s - self._log_times.get(kind, -math.inf) >= LOG_INTERVAL_S:
            self._log_times[kind] = now_s
            logger.warning(f"Smart Turn: {kind} ({self.failures[kind]} so far) from {self._url}: {detail}")


class _Unanswered(Exception):
    """Why there is no answer."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


class _Call:
    """One analysis: its thread waits for a request that runs on the event loop, which may withdraw it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.started_s = time.monotonic()
        self.is_answered = False
        self._loop, self._lock = loop, threading.Lock()
        self._request: concurrent.futures.Future[dict[str, Any]] | None = None
        self._is_withdrawn = False

    def run(self, ask: Callable[[], Coroutine[Any, Any, dict[str, Any]]], *, timeout_s: float) -> dict[str, Any]:
        """In the analyzer's thread: what `ask` returns or raises; CancelledError once withdrawn.

        The request has a timeout of its own; `timeout_s` is for an event loop that has stopped: without it this
        thread, and with it the interpreter, would never end.
        """
        with self._lock:
            if self._is_withdrawn:
                raise concurrent.futures.CancelledError
            self._request = asyncio.run_coroutine_threadsafe(self._begin(ask), self._loop)
        if not concurrent.futures.wait([self._request], timeout_s).done:
            self.withdraw()
            raise _Unanswered("timeout", "the event loop did not run the request")
        return self._request.result()

    async def _begin(self, ask: Callable[[], Coroutine[Any, Any, dict[str, Any]]]) -> dict[str, Any]:
        if self._is_withdrawn:  # while the event loop was busy
            raise asyncio.CancelledError
        return await ask()

    def withdraw(self) -> None:
        """From any thread: the request under way is cancelled, one not begun yet never begins."""
        with self._lock:
            self._is_withdrawn = True
            if self._request is not None:
                self._request.cancel()


def _serialize(audio: NDArray[np.float32]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, audio)
    return stream.getvalue()


def _read_seconds(text: str | None) -> float:
    """Retry-After in seconds, at most MAX_HOLD_OFF_S; 0 without one. Its other form, a date, is not obeyed."""
    return min(float(text), MAX_HOLD_OFF_S) if text and text.isascii() and text.isdigit() else 0.0
