"""Plain FastAPI: each request goes to the model alone, one after the other. No batches, no bounds."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI, Request

from benchmarks.peers.models import Asked, build, build_reply, read_arguments, timed
from servers.smart_turn.protocol import parse


def create_app(asked: Asked) -> FastAPI:
    """The app; the model lives in a thread of its own, so that the event loop goes on."""
    thread = ThreadPoolExecutor(1)
    detector = thread.submit(build, asked).result()
    app = FastAPI(openapi_url=None)

    @app.get("/ready")
    async def answer_ready() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/raw", response_model=None)
    async def answer_raw(request: Request) -> dict[str, object]:
        received_s = time.monotonic()
        clip = parse(await request.body())
        work = asyncio.get_running_loop().run_in_executor(thread, timed, detector.predict, [clip])
        (probability,), inference_s = await work
        total_s = time.monotonic() - received_s
        return build_reply(probability, batch_size=1, inference_s=inference_s, total_s=total_s)

    return app


if __name__ == "__main__":
    asked = read_arguments()
    options = {"loop": "uvloop", "http": "httptools", "access_log": False, "timeout_keep_alive": 75}
    uvicorn.run(create_app(asked), host="127.0.0.1", port=asked.port, log_level="warning", **options)  # type: ignore[arg-type]
