"""What load to put on a server, and `run`, which has processes of its own put it there.

Knows profiles, plans and what a worker leaves; knows neither wires (clients/) nor how sending is timed
(pacing.py).
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow.parquet as pq
import soundfile

from yapbench import clients, crew, parts
from yapbench.corpus import Corpus, Utterance, Word
from yapbench.errors import ExitCode, UsageError, YapbenchError
from yapbench.progress import Progress
from yapbench.schema import UTTERANCES
from yapbench.store import UTTERANCES_FILE, read_json, write_json
from yapbench.streaming import StreamOptions
from yapbench.tally import Tally

PLAN_FILE: Final = "plan.json"
RESULT_FILE: Final = "load.json"
WORKER_FILE: Final = "worker.parquet"

Kind = Literal["closed", "poisson", "burst", "ramp", "soak"]
KINDS: tuple[Kind, ...] = ("closed", "poisson", "burst", "ramp", "soak")


@dataclass(frozen=True)
class Point:
    """One load level in one repeat: what a row of a report stands for."""

    level: float
    repeat: int


@dataclass(frozen=True, kw_only=True)
class LoadProfile:
    """The load of a trial.

    closed   `level` users, each sends its next request the moment its answer came
    ramp     like closed, but the levels follow each other without a pause: users join, nothing drains
    poisson  arrivals at `level` per second with exponential gaps, sent when due whatever is outstanding
    burst    `level` requests at once, every `period_s` seconds
    soak     like closed with one level, for hours: users begin spread over an utterance's length, repeats follow each
             other without a pause, and rows leave the memory at once. Its drift is that of the repeats

    Where the client streams, a request is an utterance, an arrival is a call, and `stream` says how they are spoken.
    Each level sends `warmup` requests first, then counts `requests` requests, or those begun within
    `duration_s` seconds (one of the two is given; a soak has a duration). An answer later than `timeout_s` is a
    failure. Equal profiles and corpora give the same utterances in the same order, and the same arrival times, from
    however many processes (`workers`) they come. Raises UsageError for values that cannot be run.
    """

    kind: Kind = "closed"
    levels: tuple[float, ...] = (1.0,)
    requests: int | None = None
    duration_s: float | None = None
    warmup: int = 0
    repeats: int = 1
    seed: int = 0
    timeout_s: float = 30.0
    period_s: float = 1.0
    stream: StreamOptions | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError.unknown("load profile", str(self.kind), KINDS)
        object.__setattr__(self, "levels", tuple(float(level) for level in self.levels))
        _check_levels(self.levels, whole=self.kind != "poisson")
        if (self.requests is None) == (self.duration_s is None):
            raise UsageError("a load needs either requests (a count for each level) or duration_s, not both")
        for name, least in {"requests": 1, "warmup": 0, "repeats": 1, "seed": 0, "workers": 1}.items():
            value = getattr(self, name)
            if (name, value) != ("requests", None) and not (type(value) is int and value >= least):
                raise UsageError(f"{name} is {value!r}; it must be a whole number from {least}")
        for name in ("duration_s", "timeout_s", "period_s"):
            value = getattr(self, name)
            if (name, value) != ("duration_s", None) and not _positive(value):
                raise UsageError(f"{name} is {value!r}; it must be a positive number of seconds")
        most = int(max(self.levels))
        if self.kind != "poisson" and self.workers > most:
            raise UsageError(f"workers is {self.workers}; it must be at most {most}, the users of the largest level")
        if self.kind == "soak" and (len(self.levels) > 1 or self.duration_s is None):
            raise UsageError(
                "a soak has one level and lasts duration_s seconds (each repeat), not a number of requests"
            )
        if self.stream is not None and (self.stream.phases == "ends") > (self.kind == "burst"):
            raise UsageError("phases=ends is for bursts: elsewhere the streams follow each other")

    def points(self) -> list[Point]:
        """All points in their order: repeats interleave, so that a slow drift of the machine hits every level."""
        return [Point(level, repeat) for repeat in range(self.repeats) for level in self.levels]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a load worker needs to know. Keys of the server are not in it: they travel by environment."""

    client: str  # a name of clients.CLIENTS
    url: str
    corpus: Corpus
    profile: LoadProfile
    worker: int = 0
    cpus: tuple[int, ...] | None = None  # None: wherever the kernel likes
    tally: Path | None = None  # the file in which the load's workers count together; None: this is the only one

    def as_json(self) -> dict[str, Any]:
        """The plan as the worker reads it. The corpus must lie in files."""
        utterances = []
        for utterance in self.corpus:
            facts = asdict(replace(utterance, samples=None))
            utterances.append({**facts, "path": str(utterance.path)})
        corpus = {"name": self.corpus.name, "sha256": self.corpus.sha256, "utterances": utterances}
        plan = asdict(replace(self, corpus=Corpus("", (), "")))
        return {**plan, "corpus": corpus, "tally": self.tally and str(self.tally)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Plan:
        """The inverse of `as_json`."""
        utterances = []
        for entry in value["corpus"]["utterances"]:
            words = tuple(Word(**word) for word in entry["words"])
            utterances.append(Utterance(**{**entry, "words": words, "path": Path(entry["path"])}))
        corpus = Corpus(value["corpus"]["name"], tuple(utterances), value["corpus"]["sha256"])
        cpus = None if value["cpus"] is None else tuple(value["cpus"])
        stream = value["profile"]["stream"]
        profile = LoadProfile(**{**value["profile"], "stream": stream and StreamOptions(**stream)})
        tally = value["tally"] and Path(value["tally"])
        return cls(**{**value, "corpus": corpus, "profile": profile, "cpus": cpus, "tally": tally})


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
            [[sys.executable, "-m", "yapbench.worker", str(path)] for path in plans],
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


def parse_levels(text: str | int | float) -> tuple[float, ...]:
    """`"1,4,8"` -> (1.0, 4.0, 8.0); a bare number is one level. Raises UsageError for anything else."""
    parts = [part.strip() for part in str(text).split(",")]
    try:
        levels = tuple(float(part) for part in parts)
    except ValueError as error:
        raise UsageError(f"load levels {text!r}: expected numbers with commas, such as 1,4,8") from error
    _check_levels(levels, whole=False)
    return levels


def _check_levels(levels: tuple[float, ...], *, whole: bool) -> None:
    if not levels:
        raise UsageError("a load needs at least one level")
    for level in levels:
        if not _positive(level):
            raise UsageError(f"load level {level:g} must be above 0")
        if whole and not level.is_integer():
            raise UsageError(f"load level {level:g} must be a whole number of users or requests")
    if len(set(levels)) != len(levels):
        raise UsageError(f"load levels repeat: {', '.join(f'{level:g}' for level in levels)}")


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value) and value > 0
