"""Starts a peer, puts load on it from a process of its own, and counts what its processes spend meanwhile.

Knows nothing of rounds or of how cells are compared.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.peers.summary import V2_MODELS, Cell
from servers.smart_turn import weights
from yapbench import envs, load, machine, process, store
from yapbench.command import Command, free_port
from yapbench.corpus import Corpus, Utterance
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, Plan
from yapbench.schema import UTTERANCES, Outcome

MODELS = ("stub", "v3-onnx", *V2_MODELS)
CLIP_SAMPLES, CLIPS = 128_000, 8
"""8 s, of which np.save makes 512128 bytes."""

SAMPLE_EVERY_S = 0.05
IDLE_S = 3.0
READY_S = 180.0
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Peer:
    """A module of benchmarks.peers, its own words, and what it cannot run without."""

    module: str
    words: tuple[str, ...] = ()
    needs: str = ""
    only_v2: bool = False


PEERS = {
    "ours": Peer("ours"),
    "older": Peer("older_server"),
    "older-short": Peer("older_server", ("--short",), only_v2=True),
    "fastapi": Peer("fastapi_server"),
    "litserve": Peer("litserve_server", needs="litserve"),
}


def interpreter(model: str, given: Path | None) -> Path:
    """One Python for all peers of a model. Raises UsageError when `given`, or v2's own, is missing."""
    if given is not None:
        if not given.is_file():
            raise UsageError(f"--python={given}: there is no such file")
        return given
    if model in V2_MODELS:
        return envs.interpreter("torch")
    return envs.interpreter("bench") if envs.environment("bench").is_complete() else Path(sys.executable)


def runnable(model: str, asked: Sequence[str] | None, python: Path) -> tuple[list[str], list[str]]:
    """Peers that can be run, and a line for each that cannot. Raises UsageError for one that was asked for by name."""
    chosen = [name for name in asked or PEERS if model in V2_MODELS or not PEERS[name].only_v2]
    lacking = [name for name in chosen if PEERS[name].needs and not has(python, PEERS[name].needs)]
    remedy = "--python=PATH takes one that has" if model in V2_MODELS else "run `yapbench install bench`"
    lines = [f"{name} behind {model}: {python} has no {PEERS[name].needs}; {remedy}" for name in lacking]
    if asked and lines:
        raise UsageError("\n".join(lines))
    return [name for name in chosen if name not in lacking], lines


def has(python: Path, package: str) -> bool:
    """Whether an interpreter has a package."""
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    return subprocess.run([str(python), "-c", look], check=False).returncode == 0


def start(name: str, model: str, *, python: Path, device: str, log_path: Path) -> process.Server:
    """A peer that is ready. Raises ServerDied or ServerNotReady with its last lines."""
    served = str(weights.locate("v3-onnx")) if model == "v3-onnx" else model
    port, peer = free_port(), PEERS[name]
    words = (f"--model={served}", f"--device={device}", f"--port={port}", *peer.words)
    argv = (str(python), "-m", f"benchmarks.peers.{peer.module}", *words)
    return started(Command(server=name, argv=argv, host="127.0.0.1", port=port), log_path=log_path)


def started(command: Command, *, log_path: Path) -> process.Server:
    """The server of a command, ready. Raises ServerDied or ServerNotReady with its last lines."""
    server = process.spawn(command, log_path=log_path, cpus=machine.pinning().server_cpus)
    try:
        server.wait_until_ready(READY_S)
    except BaseException:  # Ctrl-C too: nothing stays behind
        server.stop()
        raise
    return server


def clips() -> Corpus:
    """Real turns, each repeated until it lasts 8 s."""
    found = [
        Utterance(
            id=f"{one.id}-8s", duration_s=8.0, sample_rate_hz=16_000, samples=np.resize(one.audio(16_000), CLIP_SAMPLES)
        )
        for one in list(Corpus.load(kind="turn"))[:CLIPS]
    ]
    return Corpus.of("8 s turns", found)


def measure(
    server: process.Server, corpus: Corpus, *, model: str, concurrency: int, number: int, seconds: float
) -> Cell:
    """`concurrency` closed-loop clients for `seconds`, in round `number`."""
    profile = LoadProfile(
        kind="closed",
        levels=(float(concurrency),),
        duration_s=seconds,
        warmup=2 * concurrency,
        timeout_s=TIMEOUT_S,
        seed=number,
    )
    plan = Plan(client="smart_turn", url=server.url, corpus=corpus, profile=profile)
    with tempfile.TemporaryDirectory() as folder, watched(server) as spent, foreign_cores(spent) as others:
        result = load.run(plan, folder=Path(folder), cpus=machine.pinning().worker_cpus)
        rows = store.read_table(Path(folder) / store.UTTERANCES_FILE, UTTERANCES)
    (point,) = result.points
    start_ns, end_ns = point["start_ns"], point["end_ns"]
    good = rows[rows["outcome"] == Outcome.OK.value]
    # Also the requests that only keep the load up until the last counted answer: without them the end is idle.
    inside = good[(good["ended_ns"] > start_ns) & (good["ended_ns"] <= end_ns)]
    replies = [json.loads(events[-1]["data"]) for events in good["events"]]
    latencies_ms = (inside["ended_ns"] - inside["sent_ns"]).to_numpy(np.float64) / 1e6
    return Cell(
        model=model,
        peer=server.name,
        concurrency=concurrency,
        round=number,
        answered=len(inside),
        failed=len(rows) - len(good),
        rps=len(inside) / (end_ns - start_ns) * 1e9,
        p50_ms=float(np.percentile(latencies_ms, 50)),
        p95_ms=float(np.percentile(latencies_ms, 95)),
        cpu_ms=1e3 * spent.between(start_ns, end_ns) / len(inside),
        others_cores=others[0],
        batch=len(replies) / sum(1 / reply["metrics"]["batch_size"] for reply in replies),
        answers=answers(good["utterance_id"], replies),
    )


def answers(clips: Iterable[str], replies: Iterable[Any]) -> dict[str, tuple[float, float]]:
    """Lowest and highest probability that came for each clip."""
    found: dict[str, list[float]] = {}
    for clip, reply in zip(clips, replies, strict=True):
        found.setdefault(clip, []).append(reply["probability"])
    return {clip: (min(values), max(values)) for clip, values in found.items()}


class Spent:
    """CPU seconds of a server's processes over time."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self._processes, self._stamps, self._cpu_s = processes, list[int](), list[float]()
        self.sample()

    def sample(self) -> None:
        times = [one.cpu_times() for one in self._processes]
        self._stamps.append(time.monotonic_ns())
        self._cpu_s.append(sum(one.user + one.system for one in times))

    def between(self, start_ns: int, end_ns: int) -> float:
        """Seconds spent between two stamps, in straight lines between samples."""
        start_s, end_s = np.interp([start_ns, end_ns], self._stamps, self._cpu_s)
        return float(end_s - start_s)

    def total(self) -> float:
        """Seconds spent since the first sample."""
        self.sample()
        return self._cpu_s[-1] - self._cpu_s[0]


def idle_cores(server: process.Server) -> float:
    """Cores that a server uses while nobody asks it anything."""
    spent = Spent(server.processes())
    time.sleep(IDLE_S)
    return spent.total() / IDLE_S


@contextmanager
def alone(server: process.Server, servers: Sequence[process.Server]) -> Iterator[None]:
    """The other servers sleep meanwhile: one that looks for requests all the time would slow this one down."""
    stopped = [one for other in servers if other is not server for one in other.processes()]
    try:
        for one in stopped:
            one.suspend()
        yield
    finally:
        for one in stopped:
            one.resume()


@contextmanager
def watched(server: process.Server) -> Iterator[Spent]:
    """Samples in a thread of its own: the load's report stays in this one."""
    spent, ended = Spent(server.processes()), threading.Event()

    def work() -> None:
        while not ended.wait(SAMPLE_EVERY_S):
            spent.sample()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield spent
    finally:
        ended.set()
        thread.join()


@contextmanager
def foreign_cores(spent: Spent) -> Iterator[list[float]]:
    """Afterwards its one number: cores that neither the server nor we and our load used meanwhile, on average."""
    found: list[float] = []
    began_s, before_s = time.monotonic(), busy_s() - own_s()
    yield found
    ours_s = busy_s() - own_s() - before_s
    found.append(max(0.0, (ours_s - spent.total()) / (time.monotonic() - began_s)))


def busy_s() -> float:
    """CPU seconds of the whole machine so far, what was stolen by its host included."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def own_s() -> float:
    """CPU seconds of this process and of its ended children, the load among them."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
