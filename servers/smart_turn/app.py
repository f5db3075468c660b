"""POST /raw and what the operator sees of it. Receives its model; imports no model runtime."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.background import BackgroundTask

from servers.common import app as common
from servers.common.audio import SAMPLE_RATE_HZ, read_sample_rate, resample
from servers.common.auth import KeyCheck
from servers.common.batching import Answer, Batcher, BatchWindow, ThreadWorker
from servers.common.errors import InferenceFailed
from servers.common.hangup import unless_gone
from servers.common.interfaces import Audio, ModelIdentity, TurnDetector
from servers.common.limits import read_body
from servers.common.metrics import Metrics
from servers.common.trace import Trace
from servers.smart_turn.protocol import build_reply, parse
from servers.smart_turn.settings import Settings

_log = logging.getLogger("servers.smart_turn")
MAX_DEFAULT_SESSIONS = 8
PACKAGES = ("onnxruntime", "pipecat-ai", "soxr", "torch", "transformers")


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One request's audio as it was sent. Resampled by the worker: the event loop has no time for that."""

    samples: Audio
    sample_rate_hz: int


def create_app(
    settings: Settings,
    *,
    build: Callable[[], TurnDetector],
    identity: ModelIdentity,
    device: str = "cpu",
    dtype: str = "float32",
    sessions: int | None = None,
    model_status: Callable[[], Mapping[str, Any]] = dict,
) -> FastAPI:
    """The server around a model. `build` is called once in each worker thread, `sessions` times (default: as
    `settings` say); `model_status` adds to /status what only the model knows, such as how far compiling came."""
    sessions = sessions or count_sessions(settings)
    batcher = _create_batcher(settings, build, sessions)
    metrics = Metrics(settings.server)
    metrics.gauge("queue_depth", "Requests waiting for a batch", read=lambda: batcher.depth)
    metrics.registry.register(_BatchCollector(settings.server, batcher))
    trace = Trace(settings.trace_path, server=settings.server)

    @asynccontextmanager
    async def run() -> AsyncIterator[None]:
        try:
            await batcher.start()
            yield
            await batcher.close()
        finally:
            trace.close()

    def status() -> dict[str, Any]:
        counts = batcher.counts
        return {
            "model": asdict(identity),
            "device": device,
            "dtype": dtype,
            "backend": settings.backend,
            "compiled_ready": False,
            "sessions": sessions,
            "buckets": list(settings.batch_buckets),
            "max_secs": settings.kept_secs,
            "queue_depth": batcher.depth,
            "answered": counts.answered,
            "failed": counts.failed,
            "rejected": counts.rejected,
            "expired": counts.expired,
            "cancelled": counts.cancelled,
            "batch_sizes": {str(size): counts.batch_sizes[size] for size in sorted(counts.batch_sizes)},
            "close_reasons": dict(counts.close_reasons),
            **model_status(),
        }

    router = _create_router(settings, batcher, metrics, trace)
    return common.create_app(settings, routers=[router], metrics=metrics, run=run, status=status, packages=PACKAGES)


def count_sessions(settings: Settings) -> int:
    """How many model sessions `settings` mean on this machine."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return settings.sessions or min(usable, MAX_DEFAULT_SESSIONS)


def _create_batcher(settings: Settings, build: Callable[[], TurnDetector], sessions: int) -> Batcher[Clip, float]:
    window = BatchWindow(buckets=settings.batch_buckets, window_ms=settings.window_ms, idle_gap_ms=settings.idle_gap_ms)

    def build_warm() -> Callable[[Sequence[Clip], int], list[float]]:
        detector = build()
        noise: Audio = np.random.default_rng(0).standard_normal(SAMPLE_RATE_HZ, np.float32)
        for size in {1, window.largest}:
            detector.predict([noise] * size)

        # The bucket is not passed on: a backend with fixed shapes knows them, and which of them are ready.
        def predict(clips: Sequence[Clip], bucket: int) -> list[float]:
            return detector.predict([resample(clip.samples, from_hz=clip.sample_rate_hz) for clip in clips])

        return predict

    workers = [ThreadWorker(build_warm, name=f"model-{number}") for number in range(sessions)]
    return Batcher(workers, window, queue_limit=settings.queue_limit, deadline_s=settings.deadline_ms / 1000)


def _create_router(settings: Settings, batcher: Batcher[Clip, float], metrics: Metrics, trace: Trace) -> APIRouter:
    router, keys = APIRouter(), KeyCheck(settings.auth_key, query=None)
    queue_seconds = metrics.histogram("queue_seconds", "From a request's arrival in the queue to its batch")
    inference_seconds = metrics.histogram("inference_seconds", "Model call that answered a request")

    @router.post("/raw")
    async def answer_raw(request: Request) -> JSONResponse:
        received_s = time.monotonic()
        keys.check(request)
        sample_rate_hz = read_sample_rate(request.headers.get("x-sample-rate"))
        with batcher.announced():
            limit_bytes, timeout_s = settings.max_body_bytes, settings.body_timeout_s
            samples = parse(await read_body(request, limit_bytes=limit_bytes, timeout_s=timeout_s))
            waiting = batcher.submit(Clip(samples, sample_rate_hz))
        answer = await _answer(waiting, request)
        queue_seconds.observe(answer.queue_s)
        inference_seconds.observe(answer.inference_s)
        reply = build_reply(answer, threshold=settings.threshold, received_s=received_s, sent_s=time.monotonic())
        if not trace.enabled:
            return JSONResponse(reply)
        note = BackgroundTask(_note_spans, trace, request.state.request_id, received_s, answer)
        return JSONResponse(reply, background=note)

    return router


async def _answer(waiting: asyncio.Future[Answer[float]], request: Request) -> Answer[float]:
    """The batcher's answer; withdraws the clip and raises ClientDisconnect when the client hangs up first."""
    try:
        answer = await unless_gone(request, waiting)
    except InferenceFailed as fault:
        _log.error("inference failed", exc_info=fault.__cause__)
        raise
    if not 0.0 <= answer.value <= 1.0:
        raise InferenceFailed(f"the model answered {answer.value}, which is no probability")
    return answer


async def _note_spans(trace: Trace, request_id: str, received_s: float, answer: Answer[float]) -> None:
    """Run after the answer has gone out. A coroutine: starlette would give a plain function to a thread."""
    batch = {"batch_size": answer.batch_size, "slot": answer.worker}
    trace.note("received", request_id=request_id, at_s=received_s)
    trace.note("queued", request_id=request_id, at_s=answer.queued_s)
    trace.note("step_start", request_id=request_id, at_s=answer.started_s, **batch)
    trace.note("step_end", request_id=request_id, at_s=answer.ended_s, **batch)
    trace.note("sent", request_id=request_id)


class _BatchCollector(Collector):
    """Shows the batcher's own counts to Prometheus when it asks."""

    def __init__(self, server: str, batcher: Batcher[Clip, float]) -> None:
        self._server, self._batcher = server, batcher

    def collect(self) -> Iterator[Metric]:
        counts = self._batcher.counts
        sizes = CounterMetricFamily(f"{self._server}_batches", "Batches by size", labels=["size"])
        for size, count in counts.batch_sizes.items():
            sizes.add_metric([str(size)], count)
        reasons = CounterMetricFamily(f"{self._server}_batch_starts", "Batches by what started them", labels=["reason"])
        for reason, count in counts.close_reasons.items():
            reasons.add_metric([reason], count)
        outcomes = CounterMetricFamily(
            f"{self._server}_outcomes", "Queued or refused requests by outcome", labels=["outcome"]
        )
        for name in ("answered", "failed", "rejected", "expired", "cancelled"):
            outcomes.add_metric([name], getattr(counts, name))
        yield from (sizes, reasons, outcomes)
