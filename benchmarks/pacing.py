"""How late frames of N simultaneous streams leave, and what a frame costs: bars H1, H2 and H3 of docs/measures.md.

The streams are yapbench's own, against a sink in another process; beside them a bare timerfd loop shows what this
machine allows. `python benchmarks/pacing.py --seconds=60 --json=pacing.json`. Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import select
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from yapbench import clients
from yapbench.clients.interface import Exchange
from yapbench.corpus import Utterance
from yapbench.pacing import phase_ns
from yapbench.streaming import StreamOptions
from yapbench.timer import Pacer, new_timer, set_timer

CASES = ((64, 20), (256, 80), (1000, 80))
EVENT_BYTES = 6400  # the sink answers every 200 ms of audio
TICK_NS = 5_000_000


class Sink(WSListener):
    """Counts frames, says something five times a second of audio, and tells the count at the end."""

    def __init__(self, request: WSUpgradeRequest) -> None:
        self._request_id = request.headers.get("X-Request-ID", "")
        self._frames = self._bytes = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self._frames += 1
            self._bytes += frame.payload_size
            if self._bytes >= EVENT_BYTES:
                self._bytes -= EVENT_BYTES
                self._say(transport, "partial")
        elif frame.msg_type == WSMsgType.TEXT:
            self._say(transport, "final")
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def _say(self, transport: WSTransport, kind: str) -> None:
        row = {"type": kind, "text": str(self._frames), "request_id": self._request_id}
        transport.send(WSMsgType.TEXT, json.dumps(row).encode())


async def _serve() -> None:
    server = await ws_create_server(Sink, "127.0.0.1", 0, backlog=4096, websocket_handshake_timeout=60)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def tick() -> None:
    """The bare loop: waits for a timerfd and nothing else, until stdin closes; prints due time and lateness of each."""
    timer, woken = new_timer(), array("q")
    due_ns = time.monotonic_ns() + TICK_NS
    while True:
        set_timer(timer, due_ns)
        readable, _, _ = select.select([timer, 0], [], [])
        if 0 in readable:
            break
        woken.extend((due_ns, time.monotonic_ns() - due_ns))
        due_ns += TICK_NS  # none is left out: a standstill makes all late that were due in it, here as with frames
    print(json.dumps(woken.tolist()))


def percentiles(values_ms: Any) -> dict[str, float]:
    """p50, p99, p99.9 and the largest, in ms."""
    p50, p99, p999, worst = np.percentile(values_ms, [50, 99, 99.9, 100])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "p999_ms": float(p999), "max_ms": float(worst)}


def drift_ppm(exchange: Exchange, step_ns: int) -> float:
    """Slope of one stream's lateness over time."""
    late_ns = np.array(exchange.lateness_ns, dtype=np.float64)
    return float(np.polyfit(np.arange(len(late_ns)) * step_ns, late_ns, 1)[0] * 1e6)


async def measure(url: str, streams: int, frame_ms: float, seconds: float, phases: str) -> dict[str, Any]:
    """One case: every stream speaks for `seconds` at once."""
    pacer = Pacer()
    options = StreamOptions(frame_ms=frame_ms)
    client = clients.build("echo_pcm", url, timeout_s=60.0, environment={}, stream=options, pacer=pacer)
    audio = np.zeros(round(seconds * 16_000), dtype=np.float32)
    payload = client.prepare(Utterance(id="silence", duration_s=seconds), audio)
    t0_ns = time.monotonic_ns() + 1_000_000_000 + streams * 2_000_000  # all are connected by then
    offsets = [
        phase_ns(n, frame_ns=options.step_ns, seed=0, repeat=0) if phases == "random" else 0 for n in range(streams)
    ]
    calls = [
        asyncio.create_task(client.exchange(payload, f"r-{number}", intended_ns=t0_ns + offset))
        for number, offset in enumerate(offsets)
    ]
    await pacer.until(t0_ns - 200_000_000)
    gc.collect()
    gc.freeze()
    gc.disable()
    began_s = time.process_time()
    exchanges = await asyncio.gather(*calls)
    spent_s = time.process_time() - began_s
    gc.enable()
    pacer.close()
    late_ns = np.concatenate([np.array(one.lateness_ns, dtype=np.int64) for one in exchanges])
    drifts = [abs(drift_ppm(one, options.step_ns)) for one in exchanges]
    arrived = sum(int(one.events[-1].text or 0) for one in exchanges if one.events)
    return {
        "streams": streams,
        "frame_ms": frame_ms,
        "phases": phases,
        "seconds": seconds,
        "t0_ns": t0_ns,
        "frames": len(late_ns),
        **percentiles(late_ns / 1e6),
        "early": int((late_ns < 0).sum()),
        "lost": streams * len(payload.frames) - arrived,
        "failed": sum(one.outcome != "ok" for one in exchanges),
        "moved": sum(one.t0_ns != t0_ns + offset for one, offset in zip(exchanges, offsets, strict=True)),
        "drift_median_ppm": float(np.median(drifts)),
        "drift_max_ppm": float(np.max(drifts)),
        "cpu_us_per_frame": spent_s * 1e6 / len(late_ns),
        "cpu_percent": 100 * spent_s / seconds,
    }


def run_case(streams: int, frame_ms: float, seconds: float, phases: str, cpus: Sequence[int]) -> dict[str, Any]:
    """With the sink on the last CPU and ourselves on the others, where there are several.

    The bare loop shares our CPUs, which a virtual machine may lose alone; but not with aligned streams, whose work at
    each frame it would wait for.
    """
    command = [sys.executable, __file__, "--role"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    os.sched_setaffinity(0, cpus[-1:])
    with subprocess.Popen([*command, "sink"], **pipes) as sink:
        os.sched_setaffinity(0, (cpus[:-1] or cpus) if phases == "random" else cpus)
        with subprocess.Popen([*command, "tick"], **pipes) as bare:
            os.sched_setaffinity(0, cpus[:-1] or cpus)
            assert sink.stdout is not None
            url = f"http://127.0.0.1:{int(sink.stdout.readline())}"
            found = uvloop.run(measure(url, streams, frame_ms, seconds, phases))
            bare_said, _ = bare.communicate()
        sink.communicate()
    os.sched_setaffinity(0, cpus)
    due_ns, late_ns = np.array(json.loads(bare_said)).reshape(-1, 2).T
    meanwhile = (due_ns >= found["t0_ns"]) & (due_ns < found["t0_ns"] + seconds * 1e9)
    return found | {"bare": percentiles(late_ns[meanwhile] / 1e6)}


def judge(case: dict[str, Any]) -> str:
    """The verdict of H1 to H3 on one case."""
    aligned = case["phases"] == "aligned"
    p99_bar = case["streams"] * 0.025 + 0.5 if aligned else 0.5
    p999_bar = float("inf") if aligned else 2.0
    cpu_bar = 15.0 if aligned else 45.0
    missed = [
        name
        for name, value, bar in (
            ("p99", case["p99_ms"], p99_bar),
            ("p99.9", case["p999_ms"], p999_bar),
            ("early", case["early"], 0),
            ("lost", case["lost"], 0),
            ("drift", case["drift_median_ppm"], 20.0),
            ("cpu", case["cpu_us_per_frame"], cpu_bar),
        )
        if value > bar
    ]
    if missed and case["bare"]["p99_ms"] > 0.3:
        return "DISTURBED"
    return f"MISSED: {', '.join(missed)}" if missed else "met"


def line(case: dict[str, Any]) -> str:
    """One row of the table."""
    bare = case["bare"]
    return (
        f"{case['streams']:>5} x {case['frame_ms']:>2g} ms {case['phases']:<8}"
        f"{case['p50_ms']:>8.3f}{case['p99_ms']:>8.3f}{case['p999_ms']:>8.3f}{case['max_ms']:>9.3f}"
        f"{case['early']:>6}{case['lost']:>5}{case['drift_median_ppm']:>8.2f}{case['cpu_us_per_frame']:>8.1f}"
        f"{case['cpu_percent']:>7.1f}  | {bare['p50_ms']:.3f} / {bare['p99_ms']:.3f} / {bare['max_ms']:.3f}"
        f"  {case['verdict']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cases", default=",".join(f"{streams}x{frame}" for streams, frame in CASES))
    parser.add_argument("--phases", default="random,aligned")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role", choices=("sink", "tick"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if asked.role == "sink":
        uvloop.run(_serve())
        return
    if asked.role == "tick":
        tick()
        return
    cpus = sorted(os.sched_getaffinity(0))
    head = "lateness ms: p50     p99   p99.9      max early lost   drift  us/frame  CPU %  | bare p50 / p99 / max"
    print(f"{'streams':>23}{head}")
    found = []
    for case in asked.cases.split(","):
        streams, frame_ms = case.split("x")
        for phases in asked.phases.split(","):
            one = run_case(int(streams), float(frame_ms), asked.seconds, phases, cpus)
            one["verdict"] = judge(one)
            found.append(one)
            print(line(one), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
