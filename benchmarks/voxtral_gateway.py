"""What the Voxtral gateway adds to each event: sessions in real time, straight to the scripted engine and through it.

    python benchmarks/voxtral_gateway.py [--sessions=32] [--rounds=3] [--seconds=8]

Both ways are taken in turns, by the same client, within one run. An event is a delta: its latency counts from the
`append` that completes the engine's step. Bars: the median grows by at most 1 ms, the 99th percentile by at most 5 ms,
and the gateway needs at most 1 % of a core for a session. The engine is tests/servers/voxtral/scripted_vllm.py.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from tests.servers.voxtral.conftest import KEY
from tests.servers.voxtral.fake_engine_gateway import ENGINE_KEY, Pair, running
from tests.servers.voxtral.marked_speech import STEP_SAMPLES, speech

STEP_S = 0.08
DELAY_STEPS = 5
WARM_STEPS = 12
"""The first steps of a session are not counted."""
DIRECT, GATEWAY = "direct", "gateway"
BARS = {"median_ms": 1.0, "p99_ms": 5.0, "core_percent": 1.0}


@dataclass(frozen=True)
class Way:
    """How a client speaks: the frames around the same audio."""

    url: str
    headers: dict[str, str]
    frame: Callable[[str, dict[str, object]], str]

    @classmethod
    def of(cls, name: str, pair: Pair) -> Way:
        if name == DIRECT:
            key = {"Authorization": f"Bearer {ENGINE_KEY}"}
            return cls(pair.engine_url, key, lambda kind, payload: json.dumps({"type": kind, **payload}))
        envelope = {"session_id": "s", "request_id": "turn-1"}
        return cls(
            pair.url,
            {"X-API-Key": KEY},
            lambda kind, payload: json.dumps({"type": kind, **envelope, "payload": payload}),
        )


@dataclass(frozen=True)
class Cell:
    """One way in one round."""

    way: str
    round: int
    events: int
    median_ms: float
    p99_ms: float
    core_percent: float
    """Of the gateway, for one session; 0 where it is not on the way."""


async def session(way: Way, number: int, sessions: int, steps: int, begin_s: float) -> list[float]:
    """Milliseconds of each counted event. Sessions are spread over a step, as those of real clients are."""
    step_pcm = speech(range(1), every_s=STEP_S)
    append = way.frame("input_audio_buffer.append", {"audio": base64.b64encode(step_pcm).decode()})
    async with connect(way.url, additional_headers=way.headers, compression=None, proxy=None) as ws:
        await ws.recv()
        await ws.send(way.frame("session.update", {"model": "tiny"}))
        await ws.send(way.frame("input_audio_buffer.commit", {"final": False}))
        heard = asyncio.create_task(listen(ws))
        sent_s = []
        for step in range(steps):
            due_s = begin_s + step * STEP_S + number * STEP_S / sessions
            await asyncio.sleep(due_s - time.monotonic())
            sent_s.append(time.monotonic())
            await ws.send(append)
        await ws.send(way.frame("input_audio_buffer.commit", {"final": True}))
        heard_s = await heard
    # Step j needs DELAY_STEPS + 1 steps of audio after it, and a look-ahead: the append with number j + delay + 1.
    pairs = zip(heard_s, sent_s[DELAY_STEPS + 1 :], strict=False)
    return [(end_s - start_s) * 1000 for end_s, start_s in pairs][WARM_STEPS:]


async def listen(ws: ClientConnection) -> list[float]:
    """When each delta came."""
    heard_s = []
    async for message in ws:
        at_s, kind = time.monotonic(), json.loads(message)["type"]
        if kind == "transcription.delta":
            heard_s.append(at_s)
        elif kind == "transcription.done":
            return heard_s
        elif kind != "session.updated":
            raise RuntimeError(f"unexpected: {message!r}")
    raise RuntimeError("the connection ended without a transcription.done")


async def measure(name: str, pair: Pair, *, number: int, sessions: int, seconds: float) -> Cell:
    way, steps = Way.of(name, pair), round(seconds / STEP_S)
    begin_s, cpu_s = time.monotonic() + 1.0, pair.cpu_s
    found = await asyncio.gather(*(session(way, one, sessions, steps, begin_s) for one in range(sessions)))
    spent_s, events_ms = pair.cpu_s - cpu_s, np.concatenate([np.array(one) for one in found])
    return Cell(
        way=name,
        round=number,
        events=len(events_ms),
        median_ms=float(np.percentile(events_ms, 50)),
        p99_ms=float(np.percentile(events_ms, 99)),
        core_percent=100 * spent_s / (steps * STEP_S) / sessions if name == GATEWAY else 0.0,
    )


def judge(cells: Sequence[Cell]) -> dict[str, float]:
    """Medians over rounds: what the gateway adds, and what it uses."""
    of = {name: [cell for cell in cells if cell.way == name] for name in (DIRECT, GATEWAY)}
    added = {
        field: float(np.median([getattr(cell, field) for cell in of[GATEWAY]]))
        - float(np.median([getattr(cell, field) for cell in of[DIRECT]]))
        for field in ("median_ms", "p99_ms")
    }
    return added | {"core_percent": float(np.median([cell.core_percent for cell in of[GATEWAY]]))}


def main() -> int:
    """0 also when a bar is missed: machines differ and are shared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="of audio in one round, each way")
    parser.add_argument("--output", type=Path, help="everything measured, as JSON")
    asked = parser.parse_args()
    assert round(STEP_S * 16_000) == STEP_SAMPLES
    flags, before, cells = (f"--max-connections={asked.sessions}",), os.getloadavg(), list[Cell]()
    script = (f"--delay-steps={DELAY_STEPS}",)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), gateway=flags, engine=script) as pair:
        for number in range(asked.rounds):
            for name in (DIRECT, GATEWAY)[:: 1 if number % 2 == 0 else -1]:
                work = measure(name, pair, number=number, sessions=asked.sessions, seconds=asked.seconds)
                cells.append(uvloop.run(work))
                print(
                    f"round {number + 1} {name:8} {cells[-1].events:6} events  median {cells[-1].median_ms:6.2f} ms  "
                    f"p99 {cells[-1].p99_ms:6.2f} ms  {cells[-1].core_percent:5.2f} % of a core each"
                )
    result = judge(cells)
    for field, value in result.items():
        what = "of a core for a session, %" if field == "core_percent" else f"added to the {field.split('_')[0]}, ms"
        print(f"{'held' if value <= BARS[field] else 'MISSED'}: {what}: {value:.2f}, at most {BARS[field]:g}")
    if asked.output:
        facts = {"load_average": [before, os.getloadavg()], "result": result, "cells": [asdict(one) for one in cells]}
        asked.output.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
