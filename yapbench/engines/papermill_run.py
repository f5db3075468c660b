"""One job through papermill in this process, until it has stored a result.

Infrastructure failures (a kernel lost, a port taken) are tried again; what a trial has recorded itself is a result.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yapbench import runner, store
from yapbench.engines import attempts
from yapbench.engines.job import ATTEMPTS, Done, Job
from yapbench.load import LoadFailed
from yapbench.trial import CHECKOUT, Trial, notebook_path

CELL_TIMEOUT_S = 3600
"""A single cell measures a whole trial; papermill has no limit for a notebook."""


def run_job(job: Job) -> Done:
    """Execute the notebook until it has stored a result; a lost kernel or load process is given ATTEMPTS tries.

    The result lies in the job's folder at the end, whole; another one that got there first stays.
    """
    for tried in range(1, ATTEMPTS + 1):
        folder = attempts.new(job.folder)
        began_s = time.monotonic()
        failure = execute(job, folder)
        worked_s = time.monotonic() - began_s
        if store.finished(folder):
            break
        if tried < ATTEMPTS and failure is not None and failure.worth_another_try:
            shutil.rmtree(folder)
            continue
        message = failure.message if failure else "the notebook ended without storing a result"
        trial = Trial.from_notebook(job.server, job.notebook, job.parameters)
        runner.record_failure(trial, folder, code="notebook_failed", message=message)
        break
    for path in folder.glob(f"{runner.KERNEL}*"):
        path.unlink()
    attempts.publish(folder, job.folder)
    info = store.read_info(job.folder)
    # A cell that fails behind the measurement harms the notebook, not the rows; it is said all the same.
    later = f"its notebook ended early: {failure.message}" if failure else ""
    return Done(job, info["status"], (info["failure"] or {}).get("message", later), worked_s=worked_s)


@dataclass(frozen=True)
class NotebookFailed:
    """Why a notebook did not reach its end; an error in a cell would only come again, a lost kernel would not."""

    message: str
    worth_another_try: bool


def execute(job: Job, folder: Path) -> NotebookFailed | None:
    """Run the notebook through papermill with its output in `folder`; None when it reached its end."""
    import papermill  # two seconds of import: only the process that runs notebooks pays
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    # It warns of names that a notebook does not declare; ours are checked, and a server's own are meant to be given.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    _use_this_environment()
    try:
        with _sockets(folder) as prefix:
            papermill.execute_notebook(
                str(notebook_path(job.notebook)),
                str(folder / "notebook.ipynb"),
                parameters=job.parameters | {"out_dir": str(folder)},
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
