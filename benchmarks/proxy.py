"""What HAProxy adds to each message: sessions in real time, straight to an echo server and through the proxy.

    python benchmarks/proxy.py [--sessions=64] [--rounds=8] [--seconds=6]

Each session sends 80 ms of audio every 80 ms, and the server answers each at once. Both ways are taken in turns, by the
same client, against the same server, within one run; a difference is that of two neighbours. Bar: at the median a
message takes at most 1 ms longer. deploy/haproxy/haproxy.cfg is what runs; TLS with --tls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import uvloop
from scipy import stats
from websockets.asyncio.client import ClientConnection, connect

from tests.deploy.routing_proxy import CONFIG, Proxy, named, proxy
from yapbench import process

STEP_S = 0.08
STEP_BYTES = 2560
WARM_STEPS = 12
"""The first steps of a session are not counted."""
DIRECT, PROXY = "direct", "proxy"
BAR_MS = 1.0


@dataclass(frozen=True)
class Pair:
    """One server, by both ways."""

    direct_url: str
    proxy: Proxy

    def url(self, way: str) -> str:
        http = self.direct_url if way == DIRECT else self.proxy.url
        return f"ws{http.removeprefix('http')}/ws"

    @property
    def proxy_cpu_s(self) -> float:
        """What the proxy's processes have used so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self.proxy.supervised.processes())


@dataclass(frozen=True)
class Cell:
    """One way in one round."""

    way: str
    round: int
    messages: int
    median_ms: float
    p99_ms: float
    core_percent: float
    """Of the proxy, for all sessions together; 0 where it is not on the way."""


@contextmanager
def running(folder: Path, *, steps: int, tls: bool = False) -> Iterator[Pair]:
    """An echo server that answers each of a session's `steps` steps, and the proxy before it."""
    # A partial is due with every step, in its midst so that no rounding moves it: its text is the step's number.
    partials = [{"audio_s": (step + 0.5) * STEP_S, "text": str(step)} for step in range(steps)]
    script, environment = folder / "script.json", dict[str, str]()
    script.write_text(json.dumps({"partials": partials, "final": "end"}), encoding="utf-8")
    if tls:
        subprocess.run([str(CONFIG / "certificate.sh"), str(folder), "127.0.0.1"], check=True)
        environment["TLS_CERTIFICATE"] = str(folder / "server.pem")
        os.environ["SSL_CERT_FILE"] = str(folder / "server.crt")
    with (
        process.launch("echo", settings={"script": script}, log_path=folder / "server.log") as server,
        proxy("echo", named("echo", [server]), folder / "proxy", **environment) as before,
    ):
        yield Pair(server.url, before)


async def session(url: str, number: int, sessions: int, steps: int, begin_s: float) -> list[float]:
    """Milliseconds from each counted step's sending to its answer. Sessions are spread over a step."""
    async with connect(url, compression=None, proxy=None) as ws:
        heard = asyncio.create_task(listen(ws, steps))
        sent_s, step = [], bytes(STEP_BYTES)
        for due in range(steps):
            await asyncio.sleep(begin_s + (due + number / sessions) * STEP_S - time.monotonic())
            sent_s.append(time.monotonic())
            await ws.send(step)
        heard_s = await heard
    return [(end_s - start_s) * 1000 for start_s, end_s in zip(sent_s, heard_s, strict=True)][WARM_STEPS:]


async def listen(ws: ClientConnection, steps: int) -> list[float]:
    """When each answer came. Raises RuntimeError for one that is not the next."""
    heard_s = []
    for step in range(steps):
        message = await ws.recv()
        heard_s.append(time.monotonic())
        if json.loads(message)["text"] != str(step):
            raise RuntimeError(f"step {step} was answered by {message!r}")
    return heard_s


async def measure(way: str, pair: Pair, *, number: int, sessions: int, steps: int) -> Cell:
    begin_s, cpu_s = time.monotonic() + 1.0, pair.proxy_cpu_s
    found = await asyncio.gather(*(session(pair.url(way), one, sessions, steps, begin_s) for one in range(sessions)))
    spent_s, messages_ms = pair.proxy_cpu_s - cpu_s, np.concatenate([np.array(one) for one in found])
    return Cell(
        way=way,
        round=number,
        messages=len(messages_ms),
        median_ms=float(np.percentile(messages_ms, 50)),
        p99_ms=float(np.percentile(messages_ms, 99)),
        core_percent=100 * spent_s / (steps * STEP_S) if way == PROXY else 0.0,
    )


@dataclass(frozen=True)
class Added:
    """What the proxy adds, over the rounds: the mean difference and its 95 % interval (Student's t)."""

    mean_ms: float
    low_ms: float
    high_ms: float


def judge(cells: Sequence[Cell], field: str) -> Added:
    """Each round's difference of `field` is one observation. Needs two rounds."""
    by_way = {way: {cell.round: getattr(cell, field) for cell in cells if cell.way == way} for way in (DIRECT, PROXY)}
    differences = np.array([by_way[PROXY][number] - value for number, value in sorted(by_way[DIRECT].items())])
    mean = float(differences.mean())
    half = float(stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences)))
    return Added(mean, mean - half, mean + half)


def main() -> int:
    """0 also when the bar is missed: machines differ and are shared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0, help="of audio in one round, each way")
    parser.add_argument("--tls", action="store_true", help="to the proxy; plain text to the server")
    parser.add_argument("--output", type=Path, help="everything measured, as JSON")
    asked = parser.parse_args()
    steps, before, cells = round(asked.seconds / STEP_S), os.getloadavg(), list[Cell]()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), steps=steps, tls=asked.tls) as pair:
        for number in range(asked.rounds):
            for way in (DIRECT, PROXY)[:: 1 if number % 2 == 0 else -1]:
                cell = uvloop.run(measure(way, pair, number=number, sessions=asked.sessions, steps=steps))
                cells.append(cell)
                print(
                    f"round {number + 1} {way:6} {cell.messages:6} messages  median {cell.median_ms:6.2f} ms  "
                    f"p99 {cell.p99_ms:6.2f} ms  proxy {cell.core_percent:5.1f} % of a core"
                )
    results = {field: judge(cells, field) for field in ("median_ms", "p99_ms")}
    for field, added in results.items():
        interval = f"{added.mean_ms:.2f} ms ({added.low_ms:.2f} to {added.high_ms:.2f})"
        print(f"added to the {field.removesuffix('_ms')}: {interval}")
    core_percent = float(np.median([cell.core_percent for cell in cells if cell.way == PROXY]))
    print(f"the proxy uses {core_percent:.1f} % of a core for {asked.sessions} sessions")
    held = results["median_ms"].mean_ms <= BAR_MS
    print(f"{'held' if held else 'MISSED'}: at most {BAR_MS:g} ms at the median")
    if asked.output:
        facts = {
            "load_average": [before, os.getloadavg()],
            "added": {field: asdict(added) for field, added in results.items()},
            "core_percent": core_percent,
            "cells": [asdict(cell) for cell in cells],
        }
        asked.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
