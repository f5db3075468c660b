"""`python -m yapbench.worker PLAN.json`: the load generator's own process, so that nothing else shares its
loop.

Says how far it is as JSON lines on stdout, writes utterances.parquet, worker.parquet and load.json beside
the plan, and ends when its stdin does: a worker never outlives its owner. Machine rows: `cpu_s` (user +
system so far), `loop_lag_ns` (the longest in 100 ms),
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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop

from yapbench import clients
from yapbench.errors import ExitCode, YapbenchError
from yapbench.load import RESULT_FILE, WORKER_FILE, Plan, Point
from yapbench.loops import Record, Sender, measure
from yapbench.schema import MACHINE, PROBE_NS, SCHEMA_VERSION, UTTERANCES, Outcome, Phase
from yapbench.store import UTTERANCES_FILE, read_json, write_json, write_table
from yapbench.streaming import StreamOptions
from yapbench.timer import Pacer

_LATE_NS: Final = 1_000_000
"""A tick later than this is stored by itself, so that a stall of the whole machine can be told from ours."""
_PROBE_ROW_NS: Final = 100_000_000
_PROGRESS_S: Final = 0.25


class LoopProbe:
    """How late the event loop runs what is due: a tick every 5 ms, none left out if it was blocked for longer."""

    def __init__(self) -> None:
        self._due_ns, self._lag_ns = array("q"), array("q")

    async def run(self, pacer: Pacer) -> None:
        """Until cancelled."""
        due_ns = time.monotonic_ns()
        while True:
            due_ns += PROBE_NS
            await pacer.until(due_ns)
            self._due_ns.append(due_ns)
            self._lag_ns.append(time.monotonic_ns() - due_ns)

    def longest(self) -> list[tuple[int, str, float]]:
        """The longest lag of each 100 ms as samples."""
        due_ns, lag_ns = np.array(self._due_ns, dtype=np.int64), np.array(self._lag_ns, dtype=np.int64)
        if not len(due_ns):
            return []
        starts = np.flatnonzero(np.diff(due_ns // _PROBE_ROW_NS, prepend=-1))
        longest_ns = np.maximum.reduceat(lag_ns, starts)
        return [(at, "loop_lag_ns", lag) for at, lag in zip(due_ns[starts].tolist(), longest_ns.tolist(), strict=True)]

    def late(self) -> list[tuple[int, str, float]]:
        """Every tick that was over 1 ms late, at its due time."""
        due_ns, lag_ns = np.array(self._due_ns, dtype=np.int64), np.array(self._lag_ns, dtype=np.int64)
        chosen = lag_ns > _LATE_NS
        return [
            (at, "loop_late_ns", lag) for at, lag in zip(due_ns[chosen].tolist(), lag_ns[chosen].tolist(), strict=True)
        ]

    def p99(self, start_ns: int, end_ns: int) -> list[tuple[int, str, float]]:
        """The 99th percentile of the lags due within these times as a sample at their end; [] without a tick."""
        due_ns, lag_ns = np.array(self._due_ns, dtype=np.int64), np.array(self._lag_ns, dtype=np.int64)
        inside = lag_ns[(due_ns >= start_ns) & (due_ns <= end_ns)]
        return [(end_ns, "loop_lag_p99_ns", float(np.percentile(inside, 99)))] if len(inside) else []


def main(argv: Sequence[str] | None = None) -> int:
    """Run one plan. 0: done. 2: it cannot be run. 6: the server went away; what was intended is recorded."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if len(arguments) != 1:
        print("usage: python -m yapbench.worker PLAN.json", file=sys.stderr)
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
    pacer, stream = Pacer(), plan.profile.stream

    def new() -> clients.Client[Any]:
        return clients.build(plan.client, plan.url, timeout_s=plan.profile.timeout_s, stream=stream, pacer=pacer)

    encoder, corpus = new(), plan.corpus
    payloads = {one.id: encoder.prepare(one, one.audio(encoder.sample_rate_hz)) for one in corpus}
    sender = Sender(plan.profile, corpus.utterances, payloads, run_id=uuid.uuid4().hex[:8])
    probe, cpu_s = LoopProbe(), list[tuple[int, float]]()

    async def report() -> None:
        while True:
            _say(sender.progress())
            cpu_s.append((time.monotonic_ns(), time.process_time()))
            await asyncio.sleep(_PROGRESS_S)

    background = [asyncio.create_task(probe.run(pacer)), asyncio.create_task(report())]
    waiting = _sessions(plan)
    while waiting and not sender.gone:
        with _no_collection():
            await measure(sender, waiting.pop(0), new, pacer)
    for task in background:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # what else it may have died of is a bug: out with it
            await task
    pacer.close()
    _say(sender.progress())

    points = _points(sender.records)
    samples = [(at_ns, "cpu_s", value) for at_ns, value in cpu_s]
    samples += probe.longest() + probe.late()
    for point in points:
        samples += probe.p99(point["start_ns"], point["end_ns"])
    base = {"schema_version": SCHEMA_VERSION, "source": f"worker{plan.worker}"}
    machine = [{**base, "at_ns": at_ns, "metric": name, "value": value} for at_ns, name, value in samples]
    write_table(folder / WORKER_FILE, machine, MACHINE)
    write_table(folder / UTTERANCES_FILE, [_row(one, plan.worker, stream) for one in sender.records], UTTERANCES)
    failure = {"code": "server_gone", "message": _last_words(sender.records)} if sender.gone else None
    unmeasured = [asdict(point) for point in plan.profile.points() if point not in sender.begun]
    write_json(folder / RESULT_FILE, {"points": points, "failure": failure, "unmeasured": unmeasured})
    return ExitCode.SERVER_FAILED if sender.gone else ExitCode.OK


def _sessions(plan: Plan) -> list[list[Point]]:
    """Points measured without a pause between: a ramp's levels, else each alone."""
    points, width = plan.profile.points(), len(plan.profile.levels) if plan.profile.kind == "ramp" else 1
    return [points[start : start + width] for start in range(0, len(points), width)]


def _points(records: Iterable[Record]) -> list[dict[str, Any]]:
    """First intended time and last end of the counted requests of each point that has some."""
    spans: dict[Point, tuple[int, int]] = {}
    for record in records:
        if record.ticket.phase is Phase.STEADY:
            start_ns, end_ns = spans.get(record.point, (record.intended_ns, record.exchange.ended_ns))
            spans[record.point] = min(start_ns, record.intended_ns), max(end_ns, record.exchange.ended_ns)
    return [{**asdict(point), "start_ns": start, "end_ns": end} for point, (start, end) in spans.items()]


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
        "frame_ms": stream.frame_ms if stream else None,
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


def _last_words(records: Sequence[Record]) -> str:
    """What the last connection that was tried said."""
    tried = [one.exchange for one in records if one.exchange.outcome is Outcome.REFUSED and one.tried]
    return tried[-1].error or "refused"


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection while the clock runs; what is there already is never looked at again."""
    gc.collect()
    gc.freeze()
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
