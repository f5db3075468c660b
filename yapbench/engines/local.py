"""Run trials on this machine through papermill: one after another, or several at a time in processes of their own.

Infrastructure failures (a kernel lost, a port taken) are tried again; what a trial has recorded itself is a result.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yapbench import runner, store
from yapbench.load import LoadFailed
from yapbench.trial import CHECKOUT, Trial, notebook_path

ATTEMPTS = 3
"""One try and two more, for failures of the infrastructure only."""

CELL_TIMEOUT_S = 3600
"""A single cell measures a whole trial; papermill has no limit for a notebook."""


@dataclass(frozen=True)
class Job:
    """One notebook run: its parameters and the folder where notebook and results go."""

    notebook: str
    server: str
    parameters: dict[str, Any]
    folder: Path


@dataclass(frozen=True)
class Done:
    """How a job ended; `error` of a finished trial: why its notebook ended early, or empty."""

    job: Job
    status: str
    error: str = ""


def run_jobs(jobs: Iterable[Job], *, workers: int) -> Iterator[Done]:
    """Yield each job's end as it comes. With one worker the jobs run in this process, in order."""
    if workers == 1:
        for job in jobs:
            yield run_job(job)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_die_with_parent, initargs=(os.getpid(),)
    ) as pool:
        pending: dict[Future[Done], Job] = {pool.submit(run_job, job): job for job in jobs}
        for future in as_completed(pending):
            try:
                yield future.result()
            except BrokenProcessPool:
                yield Done(
                    pending[future],
                    "failed",
                    "the process that ran papermill was killed; run the sweep again",
                )


def run_job(job: Job) -> Done:
    """Execute the notebook until it has stored a result; a lost kernel or load process is given ATTEMPTS tries."""
    failure: NotebookFailed | None = None
    for _ in range(ATTEMPTS):
        runner.clear(job.folder, keep=())
        failure = execute(job)
        if store.finished(job.folder):
            info = store.read_info(job.folder)
            # A cell that fails behind the measurement harms the notebook, not the rows; it is said all the same.
            later = f"its notebook ended early: {failure.message}" if failure else ""
            return Done(job, info["status"], (info["failure"] or {}).get("message", later))
        if failure is None or not failure.worth_another_try:
            break
    message = failure.message if failure else "the notebook ended without storing a result"
    trial = Trial.from_notebook(job.server, job.notebook, job.parameters)
    runner.record_failure(trial, job.folder, code="notebook_failed", message=message)
    return Done(job, "failed", message)


@dataclass(frozen=True)
class NotebookFailed:
    """Why a notebook did not reach its end; an error in a cell would only come again, a lost kernel would not."""

    message: str
    worth_another_try: bool


def execute(job: Job) -> NotebookFailed | None:
    """Run the notebook through papermill with its output in the trial's folder; None when it reached its end."""
    import papermill  # two seconds of import: only the process that runs notebooks pays
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    # It warns of names that a notebook does not declare; ours are checked, and a server's own are meant to be given.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    job.folder.mkdir(parents=True, exist_ok=True)
    _use_this_environment()
    try:
        with _sockets(job.folder) as prefix:
            papermill.execute_notebook(
                str(notebook_path(job.notebook)),
                str(job.folder / "notebook.ipynb"),
                parameters=job.parameters | {"out_dir": str(job.folder)},
                kernel_name="python3",
                progress_bar=False,
                cwd=str(CHECKOUT),
                execution_timeout=CELL_TIMEOUT_S,
                # Unix sockets instead of TCP: no port race between kernels (papermill #511), no ports left behind.
                config=Config({"KernelManager": {"transport": "ipc", "ip": str(prefix)}}),
            )
    except PapermillExecutionError as failure:
        return NotebookFailed(f"{failure.ename}: {failure.evalue}", failure.ename == LoadFailed.__name__)
    except (CellTimeoutError, DeadKernelError, RuntimeError, OSError) as failure:
        return NotebookFailed(f"{type(failure).__name__}: {failure}", True)
    return None


@contextmanager
def _sockets(folder: Path) -> Iterator[Path]:
    """Where the kernel's sockets lie (this with -1, -2 ...): with the trial, so that a killed one's are cleared too."""
    here = folder / runner.KERNEL
    if len(str(here)) < 95:  # a socket's path may have about 107 bytes
        yield here
    else:
        with tempfile.TemporaryDirectory(prefix="yapbench-") as elsewhere:
            yield Path(elsewhere) / "kernel"


def _use_this_environment() -> None:
    """Make the kernelspec `python3` of this interpreter's environment the one that is found first."""
    share = str(Path(sys.prefix) / "share" / "jupyter")
    paths = os.environ.get("JUPYTER_PATH", "")
    if share not in paths.split(os.pathsep):
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [share, paths]))


def _die_with_parent(parent: int) -> None:
    """End this pool process when the sweep is killed: its queue alone would keep it waiting for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
