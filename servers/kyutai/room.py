"""The model's thread, the seats around it, who gets one, and what the operator sees of all that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from servers.common.batch_worker import Call, ThreadWorker
from servers.common.errors import Draining, NotReady, Overloaded
from servers.common.interfaces import Frame, ModelIdentity
from servers.common.lifecycle import Lifecycle
from servers.common.metrics import Metrics
from servers.common.slots import Slot, SlotPool, Step
from servers.common.stepper import Stepper, steps_of
from servers.kyutai.interfaces import Heard, Listener
from servers.kyutai.settings import FRAME_S, SAMPLE_RATE_HZ, Settings

_log = logging.getLogger("servers.kyutai")
STEP_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.16, 0.32, 0.64, 1.28)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
FULL: Final = "no free channels"
"""What moshi-server says, and its clients look for."""


class Room:
    """One per app; `open` before anything else."""

    pool: SlotPool[Heard]
    stepper: Stepper[Heard]
    listener: Listener

    def __init__(
        self,
        settings: Settings,
        *,
        build: Callable[[], Listener],
        identity: ModelIdentity,
        lifecycle: Lifecycle,
        metrics: Metrics,
    ) -> None:
        self.identity = identity
        self._settings, self._build, self._lifecycle = settings, build, lifecycle
        self._lags_s: dict[Slot[Heard], float] = {}
        self._newest_step_s = 0.0
        self._step_seconds = metrics.histogram("step_seconds", "One step of the model", buckets=STEP_BUCKETS_S)
        self._step_rows = metrics.histogram("step_rows", "Streams in one step", buckets=ROW_BUCKETS)
        self._refused = metrics.counter("refused", "Streams that got no seat", ["reason"])
        metrics.gauge("streams", "Streams that have a seat", read=lambda: self.used)
        metrics.gauge("seats", "Seats", read=lambda: self.pool.seats)
        metrics.gauge("occupancy", "Share of the seats that are taken", read=lambda: self.used / self.pool.seats)
        metrics.gauge("backlog_seconds", "Audio of one stream that waits, at most", read=lambda: self.backlog_s)
        metrics.gauge("lag_seconds", "From a frame to its result, of the worst stream", read=lambda: self.lag_s)
        metrics.gauge("next_step_seconds", "A step with one stream more, expected", read=lambda: self.next_step_s)
        metrics.gauge("queue_depth", "Streams that wait for a step", read=lambda: self.pool.due)

    async def open(self) -> None:
        """Build the model in its thread; raises what building raised."""
        worker = ThreadWorker(self._build_step, name="model")
        await worker.start()
        ears = self.listener
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
            max_batch=self._settings.seats,
            on_step=self._note_step,
        )
        self.stepper.start()
        if (one_s := ears.step_s(1)) > FRAME_S:
            _log.warning("a step of one stream takes %.0f ms: this machine cannot keep up with speech", one_s * 1000)

    async def close(self) -> None:
        await self.stepper.close()

    @property
    def healthy(self) -> bool:
        return self.stepper.healthy

    @property
    def used(self) -> int:
        """Seats that are taken."""
        return self.pool.seats - self.pool.free

    @property
    def next_step_s(self) -> float:
        """How long a step would take with one stream more than now, if there is a seat for it."""
        return self.listener.step_s(min(self.used + 1, self.pool.seats))

    @property
    def backlog_s(self) -> float:
        """Of the stream for which most audio waits."""
        return self.pool.largest_backlog_samples / SAMPLE_RATE_HZ

    @property
    def lag_s(self) -> float:
        """From when its newest step could have begun to that step's end, of the stream for which it was longest."""
        return max(self._lags_s.values(), default=0.0)

    @property
    def buffer_samples(self) -> int:
        """So much of one stream may wait; never less than two frames."""
        return max(round(self._settings.max_buffer_s * SAMPLE_RATE_HZ), 2 * self.pool.next_samples)

    def take_seat(self, deliver: Callable[[Step[Heard]], None]) -> Slot[Heard]:
        """For a new stream. Raises Overloaded (no seat, or no time for one stream more), Draining or NotReady.

        With nobody there the first one is always taken: without streams nothing is measured, so that one slow step
        would shut the server for good.
        """
        self.check_open()
        if self._settings.refuse_late and self.used and self.next_step_s > FRAME_S:
            self.pool.refused += 1
            self._refused.labels("late").inc()
            raise Overloaded(FULL)
        try:
            return self.pool.take(deliver)
        except Overloaded:
            self._refused.labels("seats").inc()
            raise Overloaded(FULL) from None

    def leave(self, slot: Slot[Heard]) -> None:
        """The seat is free as soon as no step that contains it runs."""
        slot.leave()
        self._lags_s.pop(slot, None)

    def note_lag(self, slot: Slot[Heard], step: Step[Heard]) -> None:
        """A stream that still has its seat was stepped."""
        self._lags_s[slot] = step.ended_s - step.queued_s

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
        """What /status adds: of device, dtype and what else it knows better the model's own words win."""
        settings, counts = self._settings, self.stepper.counts
        return {
            "device": settings.device,
            "dtype": settings.lm_dtype,
            **self.listener.status(),
            "model": asdict(self.identity),
            "seats": {"total": self.pool.seats, "free": self.pool.free, "refused": self.pool.refused},
            "queue_depth": self.pool.due,
            "occupancy": round(self.used / self.pool.seats, 4),
            "backlog_s": round(self.backlog_s, 3),
            "lag_s": round(self.lag_s, 4),
            "step_s": round(self._newest_step_s, 5),
            "next_step_s": round(self.next_step_s, 5),
            "refuse_late": settings.refuse_late,
            "pause_heads": self.listener.pause_heads,
            "delay_steps": self.listener.delay_steps,
            "steps": counts.steps,
            "rows": counts.rows,
            "failed_rows": counts.failed_rows,
            "batch_sizes": {str(size): counts.batch_sizes[size] for size in sorted(counts.batch_sizes)},
        }

    def _build_step(self) -> Call[Frame, Heard]:
        self.listener = self._build()
        return steps_of(self.listener)

    def _note_step(self, seconds: float, rows: int) -> None:
        self._newest_step_s = seconds
        self._step_seconds.observe(seconds)
        self._step_rows.observe(rows)
