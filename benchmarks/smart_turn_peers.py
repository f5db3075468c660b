"""Our server beside others with the same model: requests per second, latency, CPU of all its processes per request.

    python benchmarks/smart_turn_peers.py --models=stub,v3-onnx --rounds=5 --seconds=3 --output=peers.json

The servers (benchmarks/peers) of a model take turns under load, the others stopped meanwhile; every ratio is to our
server in the same round. `yapbench install bench` makes what LitServe needs; without it LitServe is left out and named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, only this folder is on it

from benchmarks.peers import running, summary
from benchmarks.peers.summary import Cell
from servers.common.threads import pin_blas_threads
from yapbench import machine
from yapbench.errors import UsageError, YapbenchError

PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "litserve", "onnxruntime", "numpy", "torch")
VERSIONS = """
import json, platform, sys
from importlib import metadata
found = {one.name.lower(): one.version for one in metadata.distributions() if one.name.lower() in sys.argv[1:]}
print(json.dumps({"python": platform.python_version(), **found}))
"""
TOLERANCE = {"stub": 0.0, "v3-onnx": 1e-7}
TOLERANCE_V2 = {"cpu": 1e-5, "cuda": 1e-2}
"""By how much two peers' answers to one clip may differ; on a GPU v2 computes in bfloat16."""


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line. Raises UsageError for a model or a peer that there is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="stub,v3-onnx", help=", ".join(running.MODELS))
    parser.add_argument("--peers", default="", help=f"{', '.join(running.PEERS)}; default: all that can run")
    parser.add_argument("--concurrency", default="1,4,16", help="closed-loop clients")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="counted time of one server under one load")
    parser.add_argument("--device", default="cpu", help="of v2: cpu, cuda or cuda:N (unverified until run on CUDA)")
    parser.add_argument("--python", type=Path, help="run every peer with it, instead of the environments' own")
    parser.add_argument("--output", type=Path, help="everything measured, as JSON")
    found = parser.parse_args(words)
    found.models, found.peers = found.models.split(","), found.peers.split(",") if found.peers else None
    for kind, names, known in (("model", found.models, running.MODELS), ("peer", found.peers or (), running.PEERS)):
        for name in names:
            if name not in known:
                raise UsageError.unknown(kind, name, known)
    if found.peers and "ours" not in found.peers:
        raise UsageError("--peers must have ours among them: every ratio is to it")
    try:
        found.concurrency = [int(word) for word in found.concurrency.split(",")]
    except ValueError as error:
        raise UsageError(f"--concurrency={found.concurrency}: whole numbers with commas, such as 1,4,16") from error
    if found.rounds < 1 or min(found.concurrency) < 1 or found.seconds <= 0:
        raise UsageError("--rounds, --seconds and --concurrency must be positive")
    return found


def compare(
    model: str, peers: Sequence[str], python: Path, asked: argparse.Namespace
) -> tuple[list[Cell], dict[str, float]]:
    """All cells of one model, and the cores each server uses when idle. In each round another server is the first."""
    cells, idle, corpus = [], {}, running.clips()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [
            stack.enter_context(
                running.start(name, model, python=python, device=asked.device, log_path=Path(folder) / name)
            )
            for name in peers
        ]
        for server in servers:
            with running.alone(server, servers):
                idle[server.name] = running.idle_cores(server)
        for number in range(asked.rounds):
            turn = number % len(servers)
            for concurrency in asked.concurrency:
                for server in servers[turn:] + servers[:turn]:
                    with running.alone(server, servers):
                        cell = running.measure(
                            server, corpus, model=model, concurrency=concurrency, number=number, seconds=asked.seconds
                        )
                    cells.append(cell)
                    told = f"{cell.rps:.1f}/s, {cell.cpu_ms:.2f} ms CPU, {cell.others_cores:.2f} cores busy elsewhere"
                    print(f"{model} round {number + 1} clients {concurrency} {cell.peer}: {told}", file=sys.stderr)
    return cells, idle


def about(asked: argparse.Namespace) -> dict[str, Any]:
    """Where and how it was measured."""
    pinning = machine.pinning()
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %z"),
        "machine": machine.fingerprint(),
        "load_average_before": os.getloadavg(),
        "pinned": pinning.reason if pinning.worker_cpus is None else {"load": pinning.worker_cpus},
        "rounds": asked.rounds,
        "seconds": asked.seconds,
        "device": asked.device,
    }


def versions(python: Path) -> dict[str, str]:
    """What the peers of a model run on."""
    done = subprocess.run([str(python), "-c", VERSIONS, *PACKAGES], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> int:
    """Measures, prints the table and the goals; 0 also when goals are missed: machines differ and are shared."""
    pin_blas_threads()  # the servers inherit it
    asked = options()
    facts, cells, left_out = about(asked), list[Cell](), list[str]()
    facts["versions"], facts["idle_cores"], facts["largest_difference"] = {}, {}, {}
    plans = []
    for model in asked.models:
        python = running.interpreter(model, asked.python)
        peers, lines = running.runnable(model, asked.peers, python)
        left_out += lines
        plans.append((model, peers, python))
    for line in left_out:
        print(f"left out: {line}", file=sys.stderr)
    for model, peers, python in plans:
        facts["versions"][model] = versions(python)
        found, facts["idle_cores"][model] = compare(model, peers, python, asked)
        facts["largest_difference"][model] = summary.spread(found)
        cells += found
    facts |= {"load_average_after": os.getloadavg(), "left_out": left_out}
    rows = summary.summarise(cells)
    goals = summary.bars(rows, on_gpu=asked.device.startswith("cuda"))
    print(summary.table(rows))
    for goal in goals:
        print(f"{'met' if goal['met'] else 'MISSED'}: {goal['goal']}: {goal['value']:.3f}, {goal['bound']}")
    for model, idle in facts["idle_cores"].items():
        print(f"{model}: cores used when idle: {', '.join(f'{name} {cores:.3f}' for name, cores in idle.items())}")
    wrong = []
    for model, difference in facts["largest_difference"].items():
        allowed = TOLERANCE.get(model, TOLERANCE_V2[asked.device.split(":")[0]])
        print(f"{model}: answers of all peers to one clip differ by {difference:.2g} at most, allowed {allowed:g}")
        wrong += [model] if difference > allowed else []
    if asked.output:
        everything = {"about": facts, "summary": rows, "goals": goals, "cells": [asdict(cell) for cell in cells]}
        asked.output.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    if wrong:
        print(f"the peers do not answer the same behind {', '.join(wrong)}: the comparison is void", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except YapbenchError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
