"""Where REST and WebSocket meet: one queue in front of the model, one in front of the VAD, and who is let in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from servers.common.batching import Answer, Batcher, BatchWindow, ThreadWorker
from servers.common.errors import Draining, InferenceFailed
from servers.common.interfaces import Audio, ModelIdentity
from servers.common.lifecycle import Lifecycle
from servers.common.limits import Admission
from servers.common.metrics import Metrics
from servers.common.trace import Trace
from servers.parakeet.interfaces import Probabilities, SpeechDetector, Transcriber, VadState
from servers.parakeet.settings import Settings
from servers.parakeet.transcript import Transcript

_log = logging.getLogger("servers.parakeet")
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
VAD_BATCH: Final = 64
VAD_WINDOW_MS: Final = 2.0
"""Frames of many sessions come at nearly the same time: one trip to the detector's thread serves all of them."""

Heard = tuple[VadState, Probabilities]


class Desk:
    """One per app; `open` before anything else. Lives on the event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        build: Callable[[], Transcriber],
        build_detector: Callable[[], SpeechDetector],
        identity: ModelIdentity,
        lifecycle: Lifecycle,
        metrics: Metrics,
        trace: Trace,
    ) -> None:
        self._settings, self._identity, self._lifecycle, self._trace = settings, identity, lifecycle, trace
        self._build, self._build_detector = build, build_detector
        self.sessions = Admission(limit=settings.max_sessions, what="sessions")
        self.uploads = Admission(limit=settings.max_requests, what="requests")
        model, vad = ThreadWorker(self._build_model, name="model"), ThreadWorker(self._build_ears, name="vad")
        self._threads = (model, vad)
        self._model: Batcher[Audio, Transcript] = Batcher(
            [model],
            BatchWindow(
                buckets=(*(size for size in BATCH_BUCKETS if size < settings.batch_size), settings.batch_size),
                window_ms=settings.window_ms,
                idle_gap_ms=settings.idle_gap_ms,
            ),
            queue_limit=settings.queue_limit,
            deadline_s=settings.processing_timeout_s,
        )
        self._vad: Batcher[tuple[VadState, Audio], Heard] = Batcher(
            [vad],
            BatchWindow(buckets=(VAD_BATCH,), window_ms=VAD_WINDOW_MS, idle_gap_ms=0),
            queue_limit=2 * (settings.max_sessions + settings.max_requests),
            deadline_s=settings.processing_timeout_s,
        )
        self._queue_seconds = metrics.histogram("queue_seconds", "From a chunk's arrival in the queue to its batch")
        self._model_seconds = metrics.histogram("inference_seconds", "Model call that answered a chunk")
        self._batch_rows = metrics.histogram("batch_rows", "Chunks in the batch of a chunk", buckets=BATCH_BUCKETS)
        self._audio_seconds = metrics.counter("audio_seconds", "Audio transcribed")
        metrics.gauge("queue_depth", "Chunks waiting for a batch", read=lambda: self._model.depth)
        metrics.gauge("sessions", "WebSocket sessions", read=lambda: self.sessions.in_flight)
        metrics.gauge("uploads", "Uploads being received or transcribed", read=lambda: self.uploads.in_flight)

    async def open(self) -> None:
        """Build both models, each in its thread; raises what building raised."""
        await self._vad.start()
        await self._model.start()

    async def close(self) -> None:
        await self._model.close()
        await self._vad.close()

    @property
    def healthy(self) -> bool:
        """Neither the model nor the detector is lost; where one is, only a restart helps."""
        return not any(thread.is_lost for thread in self._threads)

    def check_open(self) -> None:
        """Raises Draining where nothing new is taken."""
        if self._lifecycle.draining:
            raise Draining("the server is shutting down")

    @property
    def waiting(self) -> int:
        """Chunks in line for a batch."""
        return self._model.depth

    async def transcribe(self, audio: Audio, *, request_id: str, received_s: float | None = None) -> Answer[Transcript]:
        """What is said in `audio`, 16 kHz of shape (n,), at most max_audio_s long. Cancel it to withdraw the chunk.

        Raises Overloaded (the queue is full), DeadlineExceeded, InferenceFailed or Draining. `received_s`: the
        monotonic time at which its last sample came, for the trace.
        """
        waiting = self._model.submit(audio)
        try:
            answer = await waiting
        except InferenceFailed as fault:
            _log.error("inference failed", exc_info=fault.__cause__)
            raise
        self._queue_seconds.observe(answer.queue_s)
        self._model_seconds.observe(answer.inference_s)
        self._batch_rows.observe(answer.batch_size)
        self._audio_seconds.inc(len(audio) / self._settings.target_sample_rate)
        if self._trace.enabled:
            self._note(answer, request_id, received_s)
        return answer

    async def hear(self, state: VadState, samples: Audio) -> Heard:
        """The state after `samples`, shape (n * WINDOW_SAMPLES,), and n probabilities; raises as `transcribe`."""
        return (await self._vad.submit((state, samples))).value

    def new_stream(self) -> VadState:
        """The detector's state before anything was heard."""
        return self._detector.start()

    def health(self) -> Mapping[str, Any]:
        """What /health adds."""
        total = self._settings.max_sessions
        return {"seats": {"total": total, "free": total - self.sessions.in_flight}}

    def status(self) -> Mapping[str, Any]:
        """What /status adds: the model's own words win."""
        counts = self._model.counts
        return {
            "model": asdict(self._identity),
            "device": self._settings.device,
            "dtype": self._settings.precision,
            **self.health(),
            "refused": {"sessions": self.sessions.rejected, "requests": self.uploads.rejected},
            "queue_depth": self._model.depth,
            "answered": counts.answered,
            "failed": counts.failed,
            "rejected": counts.rejected,
            "expired": counts.expired,
            "cancelled": counts.cancelled,
            "batch_sizes": {str(size): counts.batch_sizes[size] for size in sorted(counts.batch_sizes)},
            "close_reasons": dict(counts.close_reasons),
            **self._transcriber.status(),
        }

    def _build_model(self) -> Callable[[Sequence[Audio], int], list[Transcript]]:
        self._transcriber = self._build()
        return lambda batch, bucket: self._transcriber.transcribe(batch)

    def _build_ears(self) -> Callable[[Sequence[tuple[VadState, Audio]], int], list[Heard]]:
        self._detector = self._build_detector()
        return lambda batch, bucket: [self._detector.hear(state, samples) for state, samples in batch]

    def _note(self, answer: Answer[Transcript], request_id: str, received_s: float | None) -> None:
        note, batch = self._trace.note, {"batch_size": answer.batch_size}
        note("received", request_id=request_id, at_s=answer.queued_s if received_s is None else received_s)
        note("queued", request_id=request_id, at_s=answer.queued_s)
        note("step_start", request_id=request_id, at_s=answer.started_s, **batch)
        note("step_end", request_id=request_id, at_s=answer.ended_s, **batch)
