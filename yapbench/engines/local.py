"""Run trials on this machine: one after another, or one on each GPU (`--engine local`)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from rich.console import Console

from yapbench.engines import attempts, slot_process, slots
from yapbench.engines.job import Done, Job, Running
from yapbench.engines.papermill_run import run_job
from yapbench.engines.slots import Slot
from yapbench.engines.trust import check_load
from yapbench.engines.wanting import wants_gpu
from yapbench.trial import Trial


class LocalEngine:
    """This machine. `jobs`: runs at a time; None: one for each GPU that sweeps may use, one where there is none."""

    def __init__(self, *, jobs: int | None = 1, gpus_per_run: int | None = None) -> None:
        self._jobs, self._gpus_per_run = jobs, gpus_per_run
        self._running: list[Running] = []
        self._slots: dict[bool, list[Slot]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def slots(self, *, on_gpu: bool) -> list[Slot]:
        """Where jobs of a kind run, looked up once."""
        if on_gpu not in self._slots:
            found = slots.of_this_machine(on_gpu=on_gpu, jobs=self._jobs, gpus_per_run=self._gpus_per_run)
            self._slots[on_gpu] = found
        return self._slots[on_gpu]

    def identify(self, trials: Sequence[Trial], *, runs: Path) -> list[str]:
        """As the trials will name themselves: inside a slot the machine is smaller."""
        found = []
        for trial in trials:
            with self.slots(on_gpu=wants_gpu(trial))[0].entered():
                found.append(trial.trial_id)
        return found

    def check_load(self, trials: Sequence[Trial], console: Console, *, calibrate: bool) -> None:
        """In a slot: what the load generator can do there is less than on the whole machine."""
        for kind in (True, False):
            chosen = [trial for trial in trials if wants_gpu(trial) is kind]
            if chosen:
                with self.slots(on_gpu=kind)[0].entered():
                    check_load(chosen, console, calibrate=calibrate)

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Those on GPUs first. A single slot that is the whole machine is this very process."""
        for kind in (True, False):
            chosen = [job for job in jobs if job.on_gpu is kind]
            if not chosen:
                continue
            places = self.slots(on_gpu=kind)
            if len(places) > 1:
                yield from slot_process.run(places, chosen, self._running)
                continue
            for job in chosen:
                attempts.forget(job.folder)
                self._running[:] = [Running(job, places[0].words, time.monotonic())]
                with places[0].entered():
                    done = run_job(job)
                self._running.clear()
                yield replace(done, job=job, where=places[0].words)

    def running(self) -> list[Running]:
        """With the progress that their folders show."""
        return [
            Running(one.job, one.where, one.began_s, attempts.progress(one.job.folder)) for one in list(self._running)
        ]

    def words(self) -> str:
        """Said once, before the first run."""
        said = []
        for found in self._slots.values():
            if len(found) > 1:
                where = f"on {', '.join(slot.words for slot in found)}" if found[0].gpus else "at a time"
                said.append(f"{len(found)} runs {where}")
            if slots.shared(found):
                said.append("they share CPUs: expect points to be DISTURBED, and latencies of this sweep not to count")
        return "; ".join(said)
