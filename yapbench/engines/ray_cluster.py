"""Run trials on a Ray cluster (`--engine ray`): one run is one task; Ray only says where, and that a node is gone.

What was lost with a worker or node is run again; what is finished never is. All state lies in the result folders, so
that a lost head costs only what was running: its tasks end with it, and the same command goes on.
"""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from yapbench import store
from yapbench.engines import attempts, ray_layout, ray_task
from yapbench.engines.job import ATTEMPTS, Done, Job, Running
from yapbench.engines.ray_layout import Node, Share
from yapbench.engines.ray_task import Orders
from yapbench.engines.shelf import Shelf
from yapbench.engines.slots import GPUS, VISIBLE, usable_gpus
from yapbench.engines.wanting import wants_gpu
from yapbench.errors import UsageError
from yapbench.trial import Trial

INSTALL = ".venv/bin/python -m pip install -c constraints.txt -e '.[ray]'"

_MARK = ".seen-"
"""How the name of the file begins by which a node knows the head's folder."""

_SHOWS_S = 10.0
"""How long a shared folder may take to show the head what a node has written."""


class RayEngine:
    """A cluster that runs (`address`, RAY_ADDRESS), or one of this machine that ends with the sweep."""

    def __init__(
        self,
        *,
        address: str | None = None,
        gpus_per_run: int | None = None,
        cpus_per_run: int | None = None,
        out: str | None = None,
        calibrate: bool = False,
    ) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._gpus_asked, self._cpus_asked, self._out, self._calibrate = gpus_per_run, cpus_per_run, out, calibrate
        self._tasks: dict[Any, tuple[Running, int]] = {}
        self._seen: Path | None = None
        self._codes: set[str] = set()

    def __enter__(self) -> Self:
        """Raises UsageError without Ray, or for a cluster that cannot be reached or has no use for a run."""
        if self._address.startswith("ray://"):
            raise UsageError(f"--ray-address={self._address}: the Ray client cannot; use the head's own host:port")
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise UsageError(f"--engine ray needs Ray: {INSTALL}") from None
        self._ray = ray
        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            self._init()
            nodes = [self._node(one) for one in ray.nodes() if one["Alive"]]
            gpus = ray_layout.gpus_of_run(nodes, self._gpus_asked)
            self._shares = {
                wanted: ray_layout.share(nodes, gpus=gpus if wanted else 0, cpus_asked=self._cpus_asked)
                for wanted in (True, False)
            }
        except BaseException:
            self.__exit__()
            raise
        self._nodes = nodes
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever still runs on the nodes ends with the driver's connection."""
        self._tasks.clear()
        self._ray.shutdown()
        if self._seen is not None:
            self._seen.unlink(missing_ok=True)

    def _init(self) -> None:
        if self._address != "local":
            try:
                self._ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as problem:
                first = str(problem).splitlines()[0]
                raise UsageError(f"no Ray cluster at {self._address}: {first}") from problem
            return
        os.environ.setdefault("RAY_worker_niceness", "0")  # what is measured has no lower priority than the rest
        os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
        gpus = usable_gpus()
        if GPUS in os.environ:
            os.environ[VISIBLE] = ",".join(gpus)
        self._ray.init(
            address="local",
            num_gpus=len(gpus),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100 << 20,
        )

    @staticmethod
    def _node(found: dict[str, Any]) -> Node:
        resources = found["Resources"]
        return Node(cpus=int(resources.get("CPU", 0)), gpus=int(resources.get("GPU", 0)))

    def identify(self, trials: Sequence[Trial], *, runs: Path) -> list[str]:
        """Asked on a node that would run them; its environments are made there first, where they are missing.

        With a URL, what is finished there is brought here.
        """
        if self._out:
            Shelf(self._out, runs.name).fetch_all(runs)
        elif self._seen is None:
            runs.mkdir(parents=True, exist_ok=True)
            self._seen = runs / f"{_MARK}{secrets.token_hex(4)}"
            self._seen.touch()
        found: dict[int, str] = {}
        for kind in (True, False):
            chosen = {number: trial for number, trial in enumerate(trials) if wants_gpu(trial) is kind}
            if not chosen:
                continue
            asked = [(trial.server, trial.notebook, dict(trial.asked)) for trial in chosen.values()]
            task = self._remote(ray_task.identify, self._shares[kind])
            answer, value = self._ray.get(task.remote(self._orders(kind), asked))
            if answer == "refused":
                raise UsageError(value)
            found |= dict(zip(chosen, value, strict=True))
        return [found[number] for number in range(len(trials))]

    def check_load(self, trials: Sequence[Trial], console: Console, *, calibrate: bool) -> None:
        """On the nodes: each makes its own certificate before its first run that streams."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Ray holds those that wait for their share of a node."""
        if self._seen is not None:
            for mark in set(self._seen.parent.glob(f"{_MARK}*")) - {self._seen}:  # of heads that were killed
                mark.unlink(missing_ok=True)
        for job in jobs:
            attempts.forget(job.folder)
            self._submit(job, tries=1)
        while self._tasks:
            ready, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=1.0)
            for stream in ready:
                done = self._take(stream)
                if done is not None:
                    yield done

    def running(self) -> list[Running]:
        return [running for running, _ in list(self._tasks.values())]

    def words(self) -> str:
        wide, narrow = self._shares[True], self._shares[False]
        said = f"Ray, {len(self._nodes)} nodes; a run takes {wide.gpus} GPUs and {wide.cpus} CPUs"
        if narrow != wide:
            said += f", one on the CPU {narrow.cpus}"
        alone = all(ray_layout.is_alone(self._nodes, share) for share in self._shares.values())
        return said if alone else f"{said}; runs share CPUs: expect points to be DISTURBED"

    def _submit(self, job: Job, *, tries: int) -> None:
        task = self._remote(ray_task.run, self._shares[job.on_gpu], num_returns="streaming")
        stream = task.remote(self._orders(job.on_gpu), job)
        self._tasks[stream] = Running(job, "", time.monotonic()), tries

    def _take(self, stream: Any) -> Done | None:
        """The next message of a task; how its job ended, if this was the last."""
        running, tries = self._tasks[stream]
        try:
            kind, value = self._ray.get(next(stream))
        except StopIteration:
            kind, value = "broken", "its worker ended without a word"
        except self._ray.exceptions.RayError as lost:
            cause = getattr(lost, "cause", None)  # of an exception in the task itself
            why = f"{type(lost).__name__}: {cause!r}" if cause else type(lost).__name__
            kind, value = "broken", f"{running.where or 'a worker'} was lost ({why})"
        if kind == "began":
            where = self._with_warning(*value)
            self._tasks[stream] = replace(running, where=where, began_s=time.monotonic()), tries
        elif kind == "progress":
            self._tasks[stream] = replace(running, progress=value), tries
        else:
            del self._tasks[stream]
            return self._ended(running, kind, value, tries)
        return None

    def _with_warning(self, where: str, code: str) -> str:
        """Said of a node whose code is not the head's, neither as it was nor as it lies there now."""
        if code not in self._codes:
            self._codes.add(ray_task.code_sha256())  # somebody edits the shared checkout
        return where if code in self._codes else f"{where} (OTHER CODE than here)"

    def _ended(self, running: Running, kind: str, value: Any, tries: int) -> Done | None:
        job = running.job
        if kind == "refused":
            raise UsageError(value)
        if self._out:
            found = Shelf(self._out, job.folder.parent.name).finished().get(job.folder.name)
            if found and (kind == "ended" or tries >= ATTEMPTS):
                Shelf(self._out, job.folder.parent.name).get(found, job.folder)
        if kind == "ended":
            self._wait_for(job.folder)
            done: Done = replace(value, where=running.where)
            return done
        if not self._out and store.finished(job.folder):  # published, and lost only then
            info = store.read_info(job.folder)
            return Done(job, info["status"], (info["failure"] or {}).get("message", ""))
        if tries < ATTEMPTS:
            self._submit(job, tries=tries + 1)
            return None
        return Done(job, "lost", f"{value}; tried {tries} times")

    def _wait_for(self, folder: Path) -> None:
        deadline_s = time.monotonic() + _SHOWS_S
        while not store.finished(folder):
            if time.monotonic() > deadline_s:
                raise UsageError(
                    f"a node has finished {folder.name}, but {folder} is not there: is it a shared folder?"
                )
            with suppress(FileNotFoundError):
                list(folder.parent.iterdir())  # has a network file system look again
            time.sleep(0.2)

    def _orders(self, on_gpu: bool) -> Orders:
        code = ray_task.code_sha256()
        self._codes.add(code)
        return Orders(
            code_sha256=code,
            gpus_per_run=self._shares[on_gpu].gpus,
            calibrate=self._calibrate,
            threads=os.environ.get("OMP_NUM_THREADS"),
            seen=str(self._seen) if self._seen else "",
            out=self._out or "",
        )

    def _remote(self, function: Any, share: Share, **options: Any) -> Any:
        """`max_calls=0`: a worker may be used again, with papermill imported; it holds nothing on a GPU itself."""
        wanted = {"num_cpus": share.cpus, "num_gpus": share.gpus, "max_retries": 0, "max_calls": 0}
        return self._ray.remote(**wanted, **options)(function)
