"""`run` has processes of its own put a load on a server, and collects what they leave.

Knows plans and workers' files; knows neither wires (clients/) nor how sending is timed (pacing/).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import soundfile

from yapbench import clients
from yapbench.corpus import Corpus
from yapbench.errors import ExitCode, UsageError, YapbenchError
from yapbench.load import crew, parts
from yapbench.load.plan import PLAN_FILE, RESULT_FILE, WORKER_FILE, Plan
from yapbench.load.profile import Point
from yapbench.load.progress import Progress
from yapbench.load.tally import Tally
from yapbench.schema import UTTERANCES
from yapbench.store import UTTERANCES_FILE, read_json, write_json


@dataclass(frozen=True)
class LoadFailure:
    """Why a load ended early. What had been intended until then is stored with its outcomes."""

    code: str  # "server_gone"
    message: str


@dataclass(frozen=True)
class LoadResult:
    """What `run` leaves besides utterances.parquet.

    `points`: {level, repeat, start_ns, end_ns} from the first counted request's intended time to the last
    one's end. `machine_rows`: rows of schema.MACHINE with source "worker<k>". `unmeasured`: points never
    begun.
    """

    points: list[dict[str, Any]]
    machine_rows: list[dict[str, Any]]
    failure: LoadFailure | None
    unmeasured: list[Point]


class LoadFailed(YapbenchError):
    """A load worker itself ended without a result; `log_tail` holds its last words."""

    exit_code = ExitCode.INVALID_RUN

    def __init__(self, message: str, *, log_tail: str = "") -> None:
        self.message, self.log_tail = message, log_tail
        super().__init__(f"{message}\n{log_tail}" if log_tail else message)


def run(
    plan: Plan,
    *,
    folder: Path,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    cpus: Sequence[int] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> LoadResult:
    """Put the plan's load on its server from processes of its own; write utterances.parquet into `folder`.

    Blocks, uses no event loop and may be called from any thread and inside a Jupyter kernel. `on_progress`
    is called from the same thread some four times a second with phase, level, repeat; done, total (None: the
    level ends by time), ok, failed, p50_ms (of the latest 1000, from the intended time; None so far) of the point's
    counted requests; points_done, points. `cpus`: shared out among the workers, each pinned to its own; fewer than
    workers are shared by them. The workers die with this process, and with this call, however either ends. `secrets`
    join their environment. A server that goes away is a result (`LoadResult.failure`); LoadFailed means that a worker
    broke.
    """
    clients.build(plan.client, plan.url, timeout_s=plan.profile.timeout_s, environment={})  # refuses wrong names now
    if clients.streams(plan.client) != (plan.profile.stream is not None):
        kind = "streams audio: give the profile StreamOptions" if clients.streams(plan.client) else "does not stream"
        raise UsageError(f"client {plan.client!r} {kind}")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="yapbench-") as audio,
        tempfile.TemporaryDirectory(
            dir=folder,
            prefix=".load-",  # of the same disk, so that what was written need not be copied
        ) as scratch,
    ):
        asked = replace(
            plan, corpus=_in_files(plan.corpus, Path(audio)), cpus=plan.cpus if cpus is None else tuple(cpus)
        )
        write_json(folder / PLAN_FILE, asked.as_json())
        plans = _plans(asked, Path(scratch))
        order = [(point.level, point.repeat) for point in plan.profile.points()]
        progress = Progress(workers=len(plans), points=order, tell=on_progress)
        ended = crew.run(
            [[sys.executable, "-m", "yapbench.load.worker", str(path)] for path in plans],
            environment=dict(secrets or {}),
            fine=(ExitCode.OK, ExitCode.SERVER_FAILED),
            on_line=progress.take,
        )
        for number, end in enumerate(ended):
            if end.broke:
                raise LoadFailed(_how(number, plan.profile.workers, end.code), log_tail=end.words)
        result = _collect([path.parent for path in plans], folder)
    (folder / PLAN_FILE).unlink()  # its content belongs into trial.json
    return result


def _plans(plan: Plan, scratch: Path) -> list[Path]:
    """A folder for each worker with its plan."""
    workers, cpus = plan.profile.workers, plan.cpus
    tally = scratch / "tally"
    if workers > 1:
        Tally.prepare(tally, points=len(plan.profile.points()))
    paths = []
    for worker in range(workers):
        own = (cpus[worker::workers] or (cpus[worker % len(cpus)],)) if cpus else None
        path = scratch / str(worker) / PLAN_FILE
        path.parent.mkdir()
        write_json(path, replace(plan, worker=worker, cpus=own, tally=tally if workers > 1 else None).as_json())
        paths.append(path)
    return paths


def _how(worker: int, workers: int, code: int) -> str:
    name = "the load worker" if workers == 1 else f"load worker {worker} of {workers}"
    return f"{name} was killed by signal {-code}" if code < 0 else f"{name} ended with code {code}"


def _collect(parts_of: Sequence[Path], folder: Path) -> LoadResult:
    """What the workers left in their folders, put together."""
    parts.join([part / UTTERANCES_FILE for part in parts_of], folder / UTTERANCES_FILE, UTTERANCES)
    results = [read_json(part / RESULT_FILE) for part in parts_of]
    rows: list[dict[str, Any]] = []
    for part in parts_of:
        rows += pq.read_table(part / WORKER_FILE).to_pylist()
    words = [result["last_words"] for result in results if result["last_words"]]
    failure = LoadFailure("server_gone", words[0] if words else "refused") if results[0]["gone"] else None
    # What is true of the whole load, each of them knows.
    return LoadResult(results[0]["points"], rows, failure, [Point(**point) for point in results[0]["unmeasured"]])


def _in_files(corpus: Corpus, scratch: Path) -> Corpus:
    """The same corpus with samples that are only in memory written to `scratch`; its sha256 stays."""
    utterances = []
    for number, utterance in enumerate(corpus):
        if utterance.samples is not None:
            path = scratch / f"{number}.wav"
            soundfile.write(path, utterance.samples, utterance.sample_rate_hz, subtype="FLOAT")
            utterance = replace(utterance, samples=None, path=path)
        utterances.append(replace(utterance, path=utterance.path and utterance.path.resolve()))
    return replace(corpus, utterances=tuple(utterances))
