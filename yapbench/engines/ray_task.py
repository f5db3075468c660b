"""What a Ray worker does: one job, in its slot of the node, telling the head how it goes.

Imported on the nodes. A papermill run and its children end when the worker does: the kernel watches its parent, servers
hang on their kernel.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import io
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from servers.common.supervise import ProcessId
from yapbench import catalog, certificate, envs, machine
from yapbench.engines import attempts, trust
from yapbench.engines.job import Done, Job
from yapbench.engines.papermill_run import run_job
from yapbench.engines.shelf import Shelf
from yapbench.engines.slots import Slot, cpu_parts
from yapbench.errors import UsageError, YapbenchError
from yapbench.trial import CHECKOUT, Trial

_PERIOD_S = 1.0

Asked = tuple[str, str, Mapping[str, Any]]
"""Server, notebook and parameters of a trial."""


@dataclass(frozen=True)
class Orders:
    """What every task of a sweep is told."""

    code_sha256: str
    """Of the head's checkout: a node with other code does not plan."""
    gpus_per_run: int
    calibrate: bool
    threads: str | None
    """The head's OMP_NUM_THREADS. Ray sets it by itself, to what would be another server than a local run's."""
    seen: str
    """A file in the sweep's folder that only a node which shares it can see; empty with a URL."""
    out: str = ""


def code_sha256() -> str:
    """Hash of everything that runs as it lies there now: the harness, the servers, the notebooks."""
    digest = hashlib.sha256()
    for pattern in ("yapbench/**/*.py", "servers/**/*.py", "notebooks/*.ipynb"):
        for path in sorted(CHECKOUT.glob(pattern)):
            digest.update(f"{path.relative_to(CHECKOUT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def identify(orders: Orders, asked: Sequence[Asked]) -> tuple[str, Any]:
    """("named", the trials' ids on this node) or ("refused", why)."""
    try:
        _refuse(orders)
        if code_sha256() != orders.code_sha256:
            raise UsageError(f"the checkout {CHECKOUT} is not the head's: share it, or bring both to the same commit")
        with placed(orders.gpus_per_run):
            trials = [_ready(Trial.from_parameters(*one)) for one in asked]
            return "named", [trial.trial_id for trial in trials]
    except (YapbenchError, OSError) as problem:
        return "refused", f"{socket.gethostname()}: {problem}"


def run(orders: Orders, job: Job) -> Iterator[tuple[str, Any]]:
    """Messages: ("began", (where, hash of the code)), ("progress", ...) every second; then one of "ended", "broken" (to
    be tried again) and "refused".
    """
    try:
        _refuse(orders)
    except UsageError as problem:
        yield "refused", f"{socket.gethostname()}: {problem}"
        return
    _as_the_head_has_it(orders)
    with placed(orders.gpus_per_run if job.on_gpu else 0) as slot, _workplace(orders, job) as here:
        where = f"{socket.gethostname()} {slot.words}".strip()
        yield "began", (where, code_sha256())
        with ThreadPoolExecutor(1, thread_name_prefix="papermill") as pool:
            work = pool.submit(_work, orders, here, job.folder)
            while wait([work], timeout=_PERIOD_S).not_done:
                yield "progress", attempts.progress(here.folder)
            try:
                done = work.result()
            except UsageError as problem:
                yield "refused", f"{where}: {problem}"
            except (YapbenchError, OSError) as problem:
                yield "broken", f"{where}: {problem}"
            else:
                yield "ended", replace(done, job=job, where=where)


def _work(orders: Orders, job: Job, final: Path) -> Done:
    """`final`: where the results will lie on the head, once they are brought there."""
    trial = _ready(Trial.from_notebook(job.server, job.notebook, job.parameters))
    if trial.profile.stream is not None:
        with _locked(certificate.folder() / ".lock"):  # one calibration at a time, then all have it
            trust.check_load([trial], Console(file=io.StringIO()), calibrate=orders.calibrate)
    done = run_job(job)
    if orders.out:
        attempts.retell(job.folder, str(job.folder), str(final))
        Shelf(orders.out, job.folder.parent.name).put(job.folder)
    return done


def _ready(trial: Trial) -> Trial:
    """The trial, when the environments of its server stand on this node; they are made where they do not."""
    entry = catalog.lookup(trial.server)
    if not trial.url and not os.environ.get("YAPBENCH_PYTHON"):
        settings = catalog.parsed_settings(entry, trial.settings)
        for name in {catalog.environment_of(entry, trial.settings), *envs.beside(entry, settings)} - {envs.LIGHT}:
            envs.build(envs.environment(name), say=lambda _: None)
    return trial


def _refuse(orders: Orders) -> None:
    if orders.seen and not Path(orders.seen).exists():
        raise UsageError(f"{Path(orders.seen).parent} is not the head's folder: share it, or give --out a URL")


def _as_the_head_has_it(orders: Orders) -> None:
    os.environ.pop("OMP_NUM_THREADS", None)
    if orders.threads is not None:
        os.environ["OMP_NUM_THREADS"] = orders.threads
    with suppress(PermissionError):  # Ray's workers are nice: a measurement is not (RAY_worker_niceness)
        os.setpriority(os.PRIO_PROCESS, 0, min(0, os.getpriority(os.PRIO_PROCESS, 0)))


@contextmanager
def placed(gpus: int) -> Iterator[Slot]:
    """This thread in the slot that Ray gave the task: its GPUs, and CPUs that no other slot of the node has."""
    ray: Any = importlib.import_module("ray")
    context = ray.get_runtime_context()
    ids = [str(one) for one in context.get_accelerator_ids().get("GPU", [])]
    if not gpus or not ids:
        yield Slot()
        return
    node = next(one for one in ray.nodes() if one["NodeID"] == context.get_node_id())
    count = max(1, int(node["Resources"].get("GPU", 0)) // gpus)
    if count == 1:
        with Slot(tuple(ids)).entered():
            yield Slot(tuple(ids))
        return
    own = os.sched_getaffinity(0)
    usable = own if machine.this_machine().cores >= len(own) else ()  # a container's limit gives nobody a CPU
    parts = cpu_parts(usable, count, siblings=machine.siblings_of)
    with _claimed(count, first=int(ids[0]) // gpus % count if ids[0].isdecimal() else 0) as number:
        slot = Slot(tuple(ids), parts[number])
        with slot.entered():
            yield slot


@contextmanager
def _claimed(count: int, *, first: int) -> Iterator[int]:
    """A number below `count` that no other process of this node has; its lock goes with the process."""
    place = Path(tempfile.gettempdir()) / f"yapbench-slots-{os.getuid()}"
    place.mkdir(exist_ok=True)
    for number in sorted(range(count), key=lambda number: (number - first) % count):
        with (place / f"{count}-{number}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield number
            return
    raise UsageError(f"{socket.gethostname()}: all {count} slots are taken by runs of another cluster")


@contextmanager
def _workplace(orders: Orders, job: Job) -> Iterator[Job]:
    """The job as it runs here: in the shared folder, or in one of this node's until it is uploaded."""
    if not orders.out:
        yield job
        return
    place = Path(tempfile.gettempdir()) / f"yapbench-runs-{os.getuid()}"
    me = ProcessId.me()
    for other in place.glob("*-*"):  # of workers that were killed
        pid, ticks = other.name.split("-")
        if not ProcessId(int(pid), int(ticks)).alive():
            shutil.rmtree(other, ignore_errors=True)
    own = place / f"{me.pid}-{me.start_ticks}"
    folder = own / "runs" / job.folder.parent.name / job.folder.name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield replace(job, folder=folder)
    finally:
        shutil.rmtree(own, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
