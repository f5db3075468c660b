"""`python -m yapbench.load.worker PLAN.json`: the load generator's own process, so that nothing else shares its
loop. One of several where the plan says so.

Says how far it is as JSON lines on stdout, writes utterances.parquet, worker.parquet and load.json beside
the plan, and ends when its stdin does: a worker never outlives its owner. Machine rows: `cpu_s` (user +
system so far), `loop_lag_ns` (the longest in 100 ms, or in as many more as keep a long run's rows few),
`loop_late_ns` (each tick over 1 ms late) and, at the end of each point, `loop_lag_p99_ns` over
its counted time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import resource
import select
import stat
import sys
import threading
import time
import uuid
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop
from numpy.typing import NDArray

from yapbench import clients
from yapbench.errors import ExitCode, YapbenchError
from yapbench.load import parts
from yapbench.load.loops import measure
from yapbench.load.plan import RESULT_FILE, WORKER_FILE, Plan
from yapbench.load.profile import LoadProfile, Point
from yapbench.load.sender import Record, Sender
from yapbench.load.spool import Spool
from yapbench.load.tally import Tally
from yapbench.pacing.streaming import StreamOptions
from yapbench.pacing.timer import SECOND_NS, Pacer
from yapbench.schema import MACHINE, PROBE_NS, SCHEMA_VERSION, UTTERANCES
from yapbench.store import UTTERANCES_FILE, read_json, write_json, write_table

_LATE_NS: Final = 1_000_000
"""A tick later than this is stored by itself, so that a stall of the whole machine can be told from ours."""
_ROW_NS: Final = 100_000_000
_MOST_ROWS: Final = 36_000
_PROGRESS_S: Final = 0.25


class LoopProbe:
    """How late the event loop runs what is due: a tick every 5 ms, none left out if it was blocked for longer.

    Holds 8 bytes for each tick, which is 6 MB an hour.
    """

    def __init__(self) -> None:
        self._start_ns, self._lag_ns = 0, array("q")

    async def run(self, pacer: Pacer) -> None:
        """Until cancelled."""
        due_ns = self._start_ns = time.monotonic_ns()
        while True:
            due_ns += PROBE_NS
            await pacer.until(due_ns)
            self._lag_ns.append(time.monotonic_ns() - due_ns)

    def longest(self, *, within_ns: int = _ROW_NS) -> list[tuple[int, str, float]]:
        """The longest lag of each 100 ms, or of other times, as samples."""
        due_ns, lag_ns = self._ticks()
        if not len(due_ns):
            return []
        starts = np.flatnonzero(np.diff(due_ns // within_ns, prepend=-1))
        longest_ns = np.maximum.reduceat(lag_ns, starts)
        return [(at, "loop_lag_ns", lag) for at, lag in zip(due_ns[starts].tolist(), longest_ns.tolist(), strict=True)]

    def late(self) -> list[tuple[int, str, float]]:
        """Every tick that was over 1 ms late, at its due time."""
        due_ns, lag_ns = self._ticks()
        chosen = lag_ns > _LATE_NS
        return [
            (at, "loop_late_ns", lag) for at, lag in zip(due_ns[chosen].tolist(), lag_ns[chosen].tolist(), strict=True)
        ]

    def p99(self, start_ns: int, end_ns: int) -> list[tuple[int, str, float]]:
        """The 99th percentile of the lags due within these times as a sample at their end; [] without a tick."""
        due_ns, lag_ns = self._ticks()
        inside = lag_ns[(due_ns >= start_ns) & (due_ns <= end_ns)]
        return [(end_ns, "loop_lag_p99_ns", float(np.percentile(inside, 99)))] if len(inside) else []

    def _ticks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """When each was due, and how late it was; ns, (n,)."""
        lag_ns = np.array(self._lag_ns, dtype=np.int64)
        return self._start_ns + PROBE_NS * np.arange(1, len(lag_ns) + 1, dtype=np.int64), lag_ns


def main(argv: Sequence[str] | None = None) -> int:
    """Run one plan. 0: done. 2: it cannot be run. 6: the server went away; what was intended is recorded."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if len(arguments) != 1:
        print("usage: python -m yapbench.load.worker PLAN.json", file=sys.stderr)
        return ExitCode.USAGE
    _end_with_owner()
    try:
        path = Path(arguments[0])
        plan = Plan.from_json(read_json(path))
        if plan.cpus is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, plan.cpus)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one for each outstanding request
        return uvloop.run(_work(plan, path.parent))
    except YapbenchError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code


async def _work(plan: Plan, folder: Path) -> ExitCode:
    pacer, profile = Pacer(), plan.profile

    def new() -> clients.Client[Any]:
        return clients.build(plan.client, plan.url, timeout_s=profile.timeout_s, stream=profile.stream, pacer=pacer)

    encoder, corpus = new(), plan.corpus
    payloads = {one.id: encoder.prepare(one, one.audio(encoder.sample_rate_hz)) for one in corpus}
    points = profile.points()
    tally = Tally(points=len(points), workers=profile.workers if plan.tally else 1, path=plan.tally)
    kept = Spool(folder, corpus) if profile.kind == "soak" else _InMemory()
    sender = Sender(
        profile,
        corpus.utterances,
        payloads,
        run_id=uuid.uuid4().hex[:8],
        keep=kept.put,
        tally=tally,
        worker=plan.worker,
    )
    probe, used, row_ns = LoopProbe(), _CpuTime(), _row_ns(profile)

    async def report() -> None:
        while True:
            _say(sender.progress())
            used.note(at_least_ns=row_ns)
            await asyncio.sleep(_PROGRESS_S)

    background = [asyncio.create_task(probe.run(pacer)), asyncio.create_task(report())]
    for session in _sessions(profile):
        with _no_collection(forever=profile.kind != "soak"):
            await measure(sender, session, new, pacer)
        if sender.gone:  # nobody finds that out between two sessions: all stop here
            break
    used.note()
    for task in background:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # what else it may have died of is a bug: out with it
            await task
    pacer.close()
    _say(sender.progress())

    spans = [(points[number - 1], span) for number, span in tally.spans().items()]
    samples = [*used.samples, *probe.longest(within_ns=row_ns), *probe.late()]
    for _, span in spans:
        samples += probe.p99(*span)
    base = {"schema_version": SCHEMA_VERSION, "source": f"worker{plan.worker}"}
    machine = [{**base, "at_ns": at_ns, "metric": name, "value": value} for at_ns, name, value in samples]
    write_table(folder / WORKER_FILE, machine, MACHINE)
    rows = (_row(one, plan.worker, profile.stream) for one in kept)
    parts.write(folder / UTTERANCES_FILE, rows, UTTERANCES)
    kept.close()
    result = {
        "points": [{**asdict(point), "start_ns": start, "end_ns": end} for point, (start, end) in spans],
        "gone": sender.gone,
        "last_words": sender.last_words,
        "unmeasured": [asdict(point) for point in points[tally.begun :]],
    }
    write_json(folder / RESULT_FILE, result)
    tally.close()
    return ExitCode.SERVER_FAILED if result["gone"] else ExitCode.OK


def _sessions(profile: LoadProfile) -> list[list[Point]]:
    """Points measured without a pause between: a ramp's levels, all of a soak, else each alone."""
    points = profile.points()
    width = {"ramp": len(profile.levels), "soak": len(points)}.get(profile.kind, 1)
    return [points[start : start + width] for start in range(0, len(points), width)]


def _row_ns(profile: LoadProfile) -> int:
    """The time between two samples: 100 ms, or what leaves a long load with not too many."""
    planned_s = (profile.duration_s or 0.0) * len(profile.points())
    return max(_ROW_NS, round(planned_s * SECOND_NS / _MOST_ROWS))


class _InMemory(list[Record]):
    """What `Spool` is to a long load."""

    put = list.append

    def close(self) -> None:
        self.clear()


class _CpuTime:
    """User and system time of this process so far, as samples."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, str, float]] = []

    def note(self, *, at_least_ns: int = 0) -> None:
        """One more, unless the last one was noted less than so long ago."""
        now_ns = time.monotonic_ns()
        if not self.samples or now_ns - self.samples[-1][0] >= at_least_ns:
            self.samples.append((now_ns, "cpu_s", time.process_time()))


def _row(record: Record, worker: int, stream: StreamOptions | None) -> dict[str, Any]:
    utterance, exchange = record.utterance, record.exchange
    return {
        "schema_version": SCHEMA_VERSION,
        "level": record.point.level,
        "repeat": record.point.repeat,
        "phase": str(record.ticket.phase),
        "index": record.ticket.index,
        "worker": worker,
        "stream": record.stream,
        "utterance_id": utterance.id,
        "request_id": record.request_id,
        "audio_s": utterance.duration_s,
        "label": utterance.label,
        "reference": utterance.text,
        "language": utterance.language,
        "speech_end_s": utterance.speech_end_s,
        "words": [asdict(word) for word in utterance.words] if stream and utterance.words else None,
        "frame_ms": stream.frame_ms if stream and stream.eos != "file" else None,
        "pace": stream.pace if stream else None,
        "intended_ns": record.intended_ns,
        "connect_start_ns": exchange.connect_start_ns,
        "connected_ns": exchange.connected_ns,
        "sent_ns": exchange.sent_ns,
        "sent_end_ns": exchange.sent_end_ns,
        "ended_ns": exchange.ended_ns,
        "lateness_ns": list(exchange.lateness_ns),
        "events": [asdict(event) for event in exchange.events],
        "outcome": str(exchange.outcome),
        "status": exchange.status,
        "error": exchange.error,
    }


@contextlib.contextmanager
def _no_collection(*, forever: bool) -> Iterator[None]:
    """What is there already is never looked at by the garbage collection while the clock runs; or nothing is."""
    gc.collect()
    gc.freeze()
    if forever:
        gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _say(line: dict[str, Any]) -> None:
    """One line to the owner. One who does not read must not stop the clock: then the line is dropped."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        # Shorter than PIPE_BUF: all of it or nothing.
        os.write(sys.stdout.fileno(), f"{json.dumps(line)}\n".encode())


def _end_with_owner() -> None:
    """End this process when the pipe on stdin closes or the parent changes. Started by hand: no pipe, no watch."""
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return
    if stat.S_ISFIFO(os.fstat(1).st_mode):
        os.set_blocking(1, False)
    parent = os.getppid()

    def watch() -> None:
        # The parent's number as well: a process forked by the owner may hold the pipe open after its death.
        while os.getppid() == parent:
            readable, _, _ = select.select([0], [], [], 1.0)
            if readable and not os.read(0, 4096):
                break
        os._exit(ExitCode.INVALID_RUN)

    threading.Thread(target=watch, name="owner", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
