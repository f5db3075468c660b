"""Our FastConformer server beside a plain one that steps each stream alone: CPU for a live stream, and how many it
carries.

    python benchmarks/fastconformer_server.py [--model=tiny] [--streams=8,16,32,64,96,128] [--rounds=2] [--seconds=5]

Same wire, checkpoint, look-ahead, client and machine; one thread of the model each. The servers take turns under load,
the other one stopped meanwhile; one that does not keep up with so many streams is not asked for more in that round.
At the end ours is loaded with half of what it keeps up with, and /health is asked every 10 ms: the p99 of the answers
bounds how long the event loop stood still. Prints a table, the goals and, with --output, everything as JSON. At most
four minutes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, only this folder is on it

from benchmarks.peers import running, streams
from benchmarks.peers.streams import OURS, PLAIN, Cell
from servers.common.threads import pin_blas_threads
from yapbench import envs, load, machine, process, store
from yapbench.command import Command, free_port
from yapbench.corpora.opening import open_corpus
from yapbench.corpus import Corpus
from yapbench.errors import YapbenchError
from yapbench.load import LoadProfile, Plan
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import UTTERANCES, Outcome
from yapbench.streams.times import Stream

ASK_EVERY_S = 0.01
MODULES = {OURS: "servers.fastconformer", PLAIN: "benchmarks.peers.plain_fastconformer"}


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="tiny, random, or a .nemo file")
    parser.add_argument("--streams", default="8,16,32,64,96,128", help="live streams at once, a load for each number")
    parser.add_argument("--beside", type=int, default=16, help="the number at which the servers are compared")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="counted time of one server under one load")
    parser.add_argument("--look-ahead-ms", default="80")
    parser.add_argument("--step-ms", default="20", help="of ours: how often it looks which streams have a chunk")
    parser.add_argument("--corpus", default="samples?kind=turn", help="what is spoken (docs/corpora.md)")
    parser.add_argument("--output", type=Path, help="everything measured, as JSON")
    found = parser.parse_args(words)
    try:
        found.streams = sorted({int(word) for word in found.streams.split(",")})
    except ValueError:
        parser.error(f"--streams={found.streams}: whole numbers with commas, such as 4,16,48")
    if found.rounds < 1 or found.seconds <= 0 or min(found.streams) < 1:
        parser.error("--rounds, --seconds and --streams must be positive")
    return found


def start(peer: str, asked: argparse.Namespace, *, log_path: Path) -> process.Server:
    """A server that is ready."""
    port, python = free_port(), envs.interpreter("nemo")
    flags = [f"--model={asked.model}", "--device=cpu", f"--look-ahead-ms={asked.look_ahead_ms}", f"--port={port}"]
    if peer == OURS:
        flags += ["--host=127.0.0.1", f"--max-batch={max(asked.streams)}", f"--step-ms={asked.step_ms}"]
    command = Command(server=peer, argv=(str(python), "-m", MODULES[peer], *flags), host="127.0.0.1", port=port)
    return running.started(command, log_path=log_path)


def measure(
    server: process.Server, corpus: Corpus, *, count: int, number: int, seconds: float, ask_health: bool = False
) -> Cell:
    """`count` live streams at a time for `seconds`, in round `number`."""
    profile = LoadProfile(
        kind="closed",
        levels=(float(count),),
        duration_s=seconds,
        warmup=count,
        timeout_s=running.TIMEOUT_S,
        seed=number,
        stream=StreamOptions(),
    )
    plan = Plan(client="fastconformer", url=server.url, corpus=corpus, profile=profile)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        spent = stack.enter_context(running.watched(server))
        asked = stack.enter_context(asked_for_health(server.url)) if ask_health else []
        result = load.run(plan, folder=Path(folder), cpus=machine.pinning().worker_cpus)
        rows = store.read_table(Path(folder) / store.UTTERANCES_FILE, UTTERANCES)
    (point,) = result.points
    start_ns, end_ns = point["start_ns"], point["end_ns"]
    good = rows[rows["outcome"] == Outcome.OK.value]
    counted = good[(good["ended_ns"] > start_ns) & (good["ended_ns"] <= end_ns)]
    flush_ms = [(row["ended_ns"] - row["sent_end_ns"]) / 1e6 for row in counted.to_dict("records")]
    inside_ms = [took_ms for at_ns, took_ms in asked if start_ns < at_ns <= end_ns]
    return Cell(
        peer=server.name,
        streams=count,
        round=number,
        ended=len(counted),
        failed=len(rows) - len(good),
        cpu_s_per_stream_s=spent.between(start_ns, end_ns) / heard_s(good, start_ns, end_ns),
        flush_p95_ms=float(np.percentile(flush_ms, 95)) if flush_ms else float("inf"),
        stall_p99_ms=float(np.percentile(inside_ms, 99)) if inside_ms else None,
    )


def heard_s(rows: Any, start_ns: int, end_ns: int) -> float:
    """Seconds of live audio that streams sent between two stamps: what the CPU was spent on."""
    total_s = 0.0
    for row in rows.to_dict("records"):
        began_ns = int(row["intended_ns"])
        ended_ns = min(int(row["ended_ns"]), began_ns + int(1e9 * Stream.of(row).sent_s))
        total_s += max(0, min(ended_ns, end_ns) - max(began_ns, start_ns)) / 1e9
    return total_s


@contextmanager
def asked_for_health(url: str) -> Iterator[list[tuple[int, float]]]:
    """Meanwhile /health is asked on one connection: (time.monotonic_ns(), ms) of each answer."""
    found: list[tuple[int, float]] = []
    ended, place = threading.Event(), urllib.parse.urlsplit(url).netloc

    def work() -> None:
        with closing(http.client.HTTPConnection(place, timeout=running.TIMEOUT_S)) as connection:
            while not ended.wait(ASK_EVERY_S):
                began_ns = time.monotonic_ns()
                connection.request("GET", "/health")
                connection.getresponse().read()
                found.append((began_ns, (time.monotonic_ns() - began_ns) / 1e6))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True)
class Compared:
    """All cells, ours at half of the most it keeps up with, and the mean of our steps in ms under that load."""

    cells: list[Cell]
    half: Cell | None
    step_ms: float | None


def compare(asked: argparse.Namespace) -> Compared:
    """In each round the other server is the first."""
    corpus, cells = open_corpus(asked.corpus), list[Cell]()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [stack.enter_context(start(peer, asked, log_path=Path(folder) / peer)) for peer in (OURS, PLAIN)]
        for number in range(asked.rounds):
            lost: dict[str, int] = {}
            for count in asked.streams:
                for server in servers if number % 2 == 0 else servers[::-1]:
                    if count > max(lost.get(server.name, count), asked.beside):
                        continue
                    with running.alone(server, servers):
                        cell = measure(server, corpus, count=count, number=number, seconds=asked.seconds)
                    if not cell.keeps_up:
                        lost.setdefault(server.name, count)
                    cells.append(cell)
                    told = f"{cell.cpu_s_per_stream_s:.4f} CPU s a stream second, flush p95 {cell.flush_p95_ms:.1f} ms"
                    print(f"round {number + 1} streams {count} {cell.peer}: {told}", file=sys.stderr)
        return Compared(cells, *at_half(servers, corpus, cells, asked))


def at_half(
    servers: Sequence[process.Server], corpus: Corpus, cells: Sequence[Cell], asked: argparse.Namespace
) -> tuple[Cell | None, float | None]:
    """Ours with half of the streams that it keeps up with, and the mean time of its steps meanwhile."""
    ours, half = servers[0], streams.capacity(cells, OURS) // 2
    if not half:
        return None, None
    with running.alone(ours, servers):
        before = steps_of(ours)
        cell = measure(ours, corpus, count=half, number=asked.rounds, seconds=asked.seconds, ask_health=True)
        after = steps_of(ours)
    return cell, 1e3 * (after[0] - before[0]) / (after[1] - before[1])


def steps_of(server: process.Server) -> tuple[float, float]:
    """Seconds and number of all steps so far, by our server's own histogram."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return read_histogram(text, "step_seconds")


def read_histogram(text: str, name: str) -> tuple[float, float]:
    """Sum and count of a histogram whose name ends so, from Prometheus text. Raises ValueError when it is not there."""
    found = dict[str, float]()
    for line in text.splitlines():
        metric, _, value = line.rpartition(" ")
        for part in ("sum", "count"):
            if metric.partition("{")[0].endswith(f"{name}_{part}"):
                found[part] = float(value)
    if len(found) != 2:
        raise ValueError(f"/metrics has no histogram {name}")
    return found["sum"], found["count"]


def main() -> int:
    """0 also when goals are missed: machines differ and are shared."""
    pin_blas_threads()  # the servers inherit it
    asked = options()
    before = os.getloadavg()
    found = compare(asked)
    cells, half = found.cells, found.half
    goals = streams.bars(cells, half, streams=asked.beside, step_ms=found.step_ms)
    print(streams.table(cells))
    for peer in (OURS, PLAIN):
        many = streams.per_core(cells, peer, asked.beside)
        cost = "not measured" if many is None else f"{many:.1f} by their CPU at {asked.beside}"
        print(f"{peer}: kept up with {streams.capacity(cells, peer)} streams; live streams a core: {cost}")
    for goal in goals:
        print(f"{'met' if goal['met'] else 'MISSED'}: {goal['goal']}: {goal['value']:.2f}, {goal['bound']}")
    if asked.output:
        facts = {
            "machine": machine.fingerprint(),
            "load_average": [before, os.getloadavg()],
            "mean_step_ms": found.step_ms,
        }
        facts |= {name: value for name, value in vars(asked).items() if name != "output"}
        everything: dict[str, Any] = {"about": facts, "goals": goals, "cells": [asdict(cell) for cell in cells]}
        everything["half"] = asdict(half) if half else None
        asked.output.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except YapbenchError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
