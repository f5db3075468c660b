"""Our Parakeet server beside a plain one that calls `model.transcribe()` in a thread for each request: audio a second.

    python benchmarks/parakeet_server.py [--model=tiny] [--clients=1,4,16] [--rounds=3] [--seconds=8]

Same route, checkpoint, files, clients and machine. The servers take turns under load, the other one stopped meanwhile.
Prints a table, the goal and, with --output, everything as JSON. At most four minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, only this folder is on it

from benchmarks.peers import running, uploads
from benchmarks.peers.uploads import OURS, PLAIN, Cell
from yapbench import envs, load, machine, process, store
from yapbench.command import Command, free_port
from yapbench.corpora.opening import open_corpus
from yapbench.corpus import Corpus
from yapbench.errors import YapbenchError
from yapbench.load import LoadProfile, Plan
from yapbench.pacing.streaming import WHOLE_FILES
from yapbench.schema import UTTERANCES, Outcome

MODULES = {OURS: "servers.parakeet", PLAIN: "benchmarks.peers.plain_parakeet"}


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny", help="tiny or a .nemo file")
    parser.add_argument("--clients", default="1,4,16", help="closed-loop clients, a load for each number")
    parser.add_argument("--beside", type=int, default=16, help="the number at which the servers are compared")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="counted time of one server under one load")
    parser.add_argument("--lock", default="true", choices=("true", "false"), help="of the plain server")
    parser.add_argument("--corpus", default="samples?kind=paragraph&language=en", help="the files (docs/corpora.md)")
    parser.add_argument("--output", type=Path, help="everything measured, as JSON")
    found = parser.parse_args(words)
    try:
        found.clients = sorted({int(word) for word in found.clients.split(",")})
    except ValueError:
        parser.error(f"--clients={found.clients}: whole numbers with commas, such as 1,4,16")
    if found.rounds < 1 or found.seconds <= 0 or min(found.clients) < 1:
        parser.error("--rounds, --seconds and --clients must be positive")
    return found


def start(peer: str, asked: argparse.Namespace, *, log_path: Path) -> process.Server:
    """A server that is ready."""
    port, python = free_port(), envs.interpreter("nemo")
    flags = [f"--model={asked.model}", "--device=cpu", f"--port={port}"]
    flags += ["--host=127.0.0.1", "--precision=fp32"] if peer == OURS else [f"--lock={asked.lock}"]
    command = Command(server=peer, argv=(str(python), "-m", MODULES[peer], *flags), host="127.0.0.1", port=port)
    return running.started(command, log_path=log_path)


def measure(
    server: process.Server, corpus: Corpus, *, count: int, number: int, seconds: float
) -> tuple[Cell, pd.DataFrame]:
    """`count` clients for `seconds`, in round `number`; and the rows that were answered."""
    profile = LoadProfile(
        kind="closed",
        levels=(float(count),),
        duration_s=seconds,
        warmup=count,
        timeout_s=running.TIMEOUT_S,
        seed=number,
        stream=WHOLE_FILES,
    )
    plan = Plan(client="parakeet_upload", url=server.url, corpus=corpus, profile=profile)
    with tempfile.TemporaryDirectory() as folder, running.watched(server) as spent:
        result = load.run(plan, folder=Path(folder), cpus=machine.pinning().worker_cpus)
        rows = store.read_table(Path(folder) / store.UTTERANCES_FILE, UTTERANCES)
    (point,) = result.points
    start_ns, end_ns = point["start_ns"], point["end_ns"]
    good = rows[rows["outcome"] == Outcome.OK.value]
    inside = good[(good["ended_ns"] > start_ns) & (good["ended_ns"] <= end_ns)]
    audio_s = float(inside["audio_s"].sum())
    took_ms = (inside["ended_ns"] - inside["sent_ns"]).to_numpy(np.float64) / 1e6
    cell = Cell(
        peer=server.name,
        clients=count,
        round=number,
        answered=len(inside),
        failed=len(rows) - len(good),
        wrong=0,
        audio_s_per_s=audio_s / (end_ns - start_ns) * 1e9,
        cpu_s_per_audio_s=spent.between(start_ns, end_ns) / audio_s if audio_s else float("inf"),
        p50_ms=float(np.percentile(took_ms, 50)) if len(inside) else float("inf"),
        p95_ms=float(np.percentile(took_ms, 95)) if len(inside) else float("inf"),
    )
    return cell, inside


def judged(cells: Sequence[tuple[Cell, pd.DataFrame]]) -> list[Cell]:
    """With the answers counted that differ from what our server most often said to the same file."""
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, rows in cells:
        if cell.peer == OURS:
            for row in rows.to_dict("records"):
                said[row["utterance_id"]][text_of(row)] += 1
    usual = {name: counts.most_common(1)[0][0] for name, counts in said.items()}
    return [
        Cell(
            **{
                **asdict(cell),
                "wrong": sum(usual.get(r["utterance_id"]) != text_of(r) for r in rows.to_dict("records")),
            }
        )
        for cell, rows in cells
    ]


def text_of(row: dict[Any, Any]) -> str:
    """What was answered to an utterance."""
    return str(row["events"][-1]["text"])


def compare(asked: argparse.Namespace) -> list[Cell]:
    """In each round the other server is the first."""
    corpus, cells = open_corpus(asked.corpus), list[tuple[Cell, pd.DataFrame]]()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [stack.enter_context(start(peer, asked, log_path=Path(folder) / peer)) for peer in (OURS, PLAIN)]
        for number in range(asked.rounds):
            for count in asked.clients:
                for server in servers if number % 2 == 0 else servers[::-1]:
                    with running.alone(server, servers):
                        cells.append(measure(server, corpus, count=count, number=number, seconds=asked.seconds))
                    cell, _ = cells[-1]
                    told = f"{cell.audio_s_per_s:.1f} audio s/s, p50 {cell.p50_ms:.0f} ms, failed {cell.failed}"
                    print(f"round {number + 1} clients {count} {cell.peer}: {told}", file=sys.stderr)
    return judged(cells)


def main() -> int:
    """0 also when the goal is missed: machines differ and are shared."""
    asked = options()
    before = os.getloadavg()
    cells = compare(asked)
    goals = uploads.bars(cells, clients=asked.beside)
    print(uploads.table(cells))
    for goal in goals:
        print(f"{'met' if goal['met'] else 'MISSED'}: {goal['goal']}: {goal['value']:.2f}, {goal['bound']}")
    if asked.output:
        facts = {"machine": machine.fingerprint(), "load_average": [before, os.getloadavg()]}
        facts |= {name: value for name, value in vars(asked).items() if name != "output"}
        everything = {"about": facts, "goals": goals, "cells": [asdict(cell) for cell in cells]}
        asked.output.write_text(json.dumps(everything, indent=1, default=str) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except YapbenchError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
