"""The model's thread, the seats around it, and what the operator sees of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from servers.common.batch_worker import Call, ThreadWorker
from servers.common.errors import Draining, NotReady, Overloaded
from servers.common.interfaces import Frame, ModelIdentity, StreamingRecognizer
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.slots import Slot, SlotPool, Step
from servers.common.stepper import Stepper, steps_of
from servers.fastconformer.heard import Heard
from servers.fastconformer.settings import Settings

STEP_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Room:
    """One per app; `open` before anything else."""

    pool: SlotPool[Heard]
    stepper: Stepper[Heard]
    recognizer: StreamingRecognizer[Heard]

    def __init__(
        self,
        settings: Settings,
        *,
        build: Callable[[], StreamingRecognizer[Heard]],
        identity: ModelIdentity,
        lifecycle: Lifecycle,
        metrics: Metrics,
    ) -> None:
        self._settings, self._build, self._identity, self._lifecycle = settings, build, identity, lifecycle
        self._step_seconds = metrics.histogram("step_seconds", "One step of the model", buckets=STEP_BUCKETS_S)
        self._step_rows = metrics.histogram("step_rows", "Streams in one step", buckets=ROW_BUCKETS)
        self._refused = metrics.counter("refused", "Streams that got no seat", ["code"])
        metrics.gauge("streams", "Streams that have a seat", read=lambda: self.pool.seats - self.pool.free)
        metrics.gauge("seats", "Seats", read=lambda: self.pool.seats)
        metrics.gauge("backlog_seconds", "Audio of one stream that waits, at most", read=lambda: self.backlog_s)
        metrics.gauge("queue_depth", "Streams that wait for a step", read=lambda: self.pool.due)

    async def open(self) -> None:
        """Build the model in its thread; raises what building raised."""
        worker = ThreadWorker(self._build_step, name="model")
        await worker.start()
        ears = self.recognizer
        self.pool = SlotPool(
            self._settings.seats,
            first_samples=ears.samples_wanted(first=True),
            next_samples=ears.samples_wanted(first=False),
            flush_samples=ears.flush_samples,
        )
        self.stepper = Stepper(
            self.pool,
            worker,
            step_s=self._settings.step_ms / 1000,
            max_batch=self._settings.max_batch,
            on_step=self._note_step,
        )
        self.stepper.start()

    async def close(self) -> None:
        await self.stepper.close()

    @property
    def healthy(self) -> bool:
        return self.stepper.healthy

    @property
    def backlog_s(self) -> float:
        """Of the stream for which most audio waits."""
        return self.pool.largest_backlog_samples / self.recognizer.sample_rate_hz

    @property
    def buffer_samples(self) -> int:
        """So much of one stream may wait; never less than makes a frame."""
        wanted = max(self.pool.first_samples, self.pool.next_samples)
        return max(round(self._settings.max_buffer_s * self.recognizer.sample_rate_hz), 2 * wanted)

    def take_seat(self, deliver: Callable[[Step[Heard]], None]) -> Slot[Heard]:
        """For a new stream. Raises Overloaded (all seats are taken), Draining or NotReady (the model is lost)."""
        try:
            self.check_open()
            return self.pool.take(deliver)
        except Overloaded as refusal:
            self._refused.labels(refusal.code).inc()
            raise

    def check_open(self) -> None:
        """Raises Draining or NotReady where no new stream is taken."""
        if self._lifecycle.draining:
            raise Draining("the server is shutting down")
        if self.stepper.failure is not None:
            raise NotReady("the model is lost; this server has to be restarted")

    def health(self) -> Mapping[str, Any]:
        """What /health adds."""
        return {"seats": {"total": self.pool.seats, "free": self.pool.free}}

    def status(self) -> Mapping[str, Any]:
        """What /status adds: the model's own words win."""
        settings, counts = self._settings, self.stepper.counts
        return {
            "model": asdict(self._identity),
            "device": settings.device,
            "dtype": settings.dtype,
            "decoder": settings.decoder,
            "look_ahead_ms": settings.asked_look_ahead_ms,
            "seats": {"total": self.pool.seats, "free": self.pool.free, "refused": self.pool.refused},
            "queue_depth": self.pool.due,
            "backlog_s": round(self.backlog_s, 3),
            "steps": counts.steps,
            "rows": counts.rows,
            "failed_rows": counts.failed_rows,
            "batch_sizes": {str(size): counts.batch_sizes[size] for size in sorted(counts.batch_sizes)},
            **self.recognizer.status(),
        }

    def _build_step(self) -> Call[Frame, Heard]:
        self.recognizer = self._build()
        return steps_of(self.recognizer)

    def _note_step(self, seconds: float, rows: int) -> None:
        self._step_seconds.observe(seconds)
        self._step_rows.observe(rows)
