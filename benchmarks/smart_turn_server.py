"""What the server adds to its model: requests per second and CPU per request against the bare model loop.

Server and loop take turns, five rounds each, with as many compute threads; medians of the paired ratios are printed for
people and, on the last line, as JSON. Takes about four minutes. Not a test: machines differ and are shared.
"""

# isort: skip_file
from __future__ import annotations

from servers.common.threads import pin_blas_threads

pin_blas_threads()  # as the server does: else the bare loop pays twice the CPU

import json
import statistics
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

from servers.smart_turn import weights
from servers.smart_turn.model_v3 import SmartTurnV3
from yapbench import load, process, store
from yapbench.corpus import Corpus
from yapbench.load import LoadProfile, Plan
from yapbench.schema import UTTERANCES

ROUNDS, SECONDS, LEVELS = 5, 3.0, (1, 4, 16)


def bare_loop(clips: list[Any], *, threads: int) -> tuple[float, float]:
    """(items per second, CPU ms per item) of `threads` sessions that do nothing but predict."""
    sessions = [SmartTurnV3(weights.locate("v3-onnx")) for _ in range(threads)]
    counts = [0] * threads
    end_s = time.monotonic() + SECONDS

    def work(index: int) -> None:
        while time.monotonic() < end_s:
            sessions[index].predict([clips[counts[index] % len(clips)]])
            counts[index] += 1

    began_s, cpu_s = time.monotonic(), time.process_time()
    workers = [Thread(target=work, args=[index]) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done = sum(counts)
    return done / (time.monotonic() - began_s), 1e3 * (time.process_time() - cpu_s) / done


def served(server: process.Server, corpus: Corpus, *, level: int) -> tuple[float, float]:
    """(answers per second, CPU ms per answer of the server's processes) under `level` closed-loop clients."""
    profile = LoadProfile(kind="closed", levels=(float(level),), duration_s=SECONDS, warmup=level)
    plan = Plan(client="smart_turn", url=server.url, corpus=corpus, profile=profile)
    with tempfile.TemporaryDirectory() as folder:
        cpu_s = tree_cpu_s(server)
        result = load.run(plan, folder=Path(folder))
        cpu_s = tree_cpu_s(server) - cpu_s
        rows = store.read_table(Path(folder) / store.UTTERANCES_FILE, UTTERANCES)
    (point,) = result.points
    answered = rows[rows["outcome"] == "ok"]
    # Also the requests that only keep the load up until the last counted answer: without them the end is idle.
    inside = answered[(answered["ended_ns"] > point["start_ns"]) & (answered["ended_ns"] <= point["end_ns"])]
    return len(inside) / (point["end_ns"] - point["start_ns"]) * 1e9, 1e3 * cpu_s / len(answered)


def tree_cpu_s(server: process.Server) -> float:
    """CPU seconds so far of every process of the server."""
    times = [psutil.Process(each.pid).cpu_times() for each in server.processes()]
    return sum(each.user + each.system for each in times)


def scaling(clips: list[Any]) -> list[float]:
    """The bare loop's rate with two threads over that with one, round by round in turn."""
    rounds = [(bare_loop(clips, threads=1), bare_loop(clips, threads=2)) for _ in range(ROUNDS)]
    return [two[0] / one[0] for one, two in rounds]


def main() -> None:
    corpus = Corpus.load(kind="turn")
    clips = [utterance.audio(16_000) for utterance in corpus]
    found: dict[str, dict[str, float]] = {}
    ratios = scaling(clips)
    found["bare loop, two threads to one"] = {"rate": round(statistics.median(ratios), 3)}
    print(f"bare loop, two threads to one: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    for threads in (1, 2):
        with (
            tempfile.TemporaryDirectory() as folder,
            process.launch("smart_turn", settings={"sessions": threads}, log_path=Path(folder) / "log") as server,
        ):
            for level in LEVELS:
                rounds = [
                    (bare_loop(clips, threads=threads), served(server, corpus, level=level)) for _ in range(ROUNDS)
                ]
                rate = statistics.median(server_side[0] / bare[0] for bare, server_side in rounds)
                cpu = statistics.median(server_side[1] / bare[1] for bare, server_side in rounds)
                found[f"sessions={threads} clients={level}"] = {"rate": round(rate, 3), "cpu": round(cpu, 3)}
                print(f"sessions={threads} clients={level}: {rate:.2f} of the bare rate, {cpu:.2f} of its CPU")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
