"""A small turn server in a process of its own, to be frozen and killed: `python turn_server.py DELAY_MS`.

Prints its port. GET /stats tells how many requests there were and how many at once at most.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web


@dataclass
class TurnServer:
    """The running process."""

    process: subprocess.Popen[bytes]
    url: str

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats", timeout=10) as answer:
            facts: dict[str, Any] = json.load(answer)
            return facts


@contextmanager
def turn_server(delay_ms: float = 5) -> Iterator[TurnServer]:
    command = [sys.executable, __file__, str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield TurnServer(process, f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


async def _serve(delay_s: float) -> None:
    requests, now, most = 0, 0, 0
    keys = set[str]()

    async def raw(request: web.Request) -> web.Response:
        nonlocal requests, now, most
        requests, now = requests + 1, now + 1
        most = max(most, now)
        keys.add(request.headers.get("Authorization", ""))
        await request.read()
        await asyncio.sleep(delay_s)
        now -= 1
        answer = {"prediction": 1, "probability": 0.75, "metrics": {"inference_time": delay_s, "total_time": delay_s}}
        return web.json_response(answer, headers={"X-Request-ID": request.headers["X-Request-ID"]})

    async def stats(request: web.Request) -> web.Response:
        return web.json_response({"requests": requests, "most_at_once": most, "keys": sorted(keys)})

    app = web.Application()
    app.router.add_post("/raw", raw)
    app.router.add_get("/stats", stats)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]) / 1000))
