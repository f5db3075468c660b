"""A plain server for whole files: `model.transcribe()` in a thread for each request, as NeMo's README suggests.

    python -m benchmarks.peers.plain_parakeet --model=tiny --device=cpu --port=8000 [--lock=false]

The same checkpoint; nothing is batched, nothing bounded. `transcribe` changes the model meanwhile (it freezes it, and
puts it in train mode at its end), so that two at once disturb each other; with the lock, which is the default, each
waits for the one before.
"""

from __future__ import annotations

import argparse
import io
import threading
from contextlib import nullcontext
from typing import Annotated, Any

import soundfile
import uvicorn
from fastapi import FastAPI, File, UploadFile

from servers.parakeet.settings import Settings
from servers.parakeet.weights import find


def app_of(model: Any, *, lock: bool) -> FastAPI:
    """POST /transcribe with a `file`, as ours."""
    app, turn = FastAPI(), threading.Lock() if lock else nullcontext()

    @app.get("/ready")
    @app.get("/health")
    def ready() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/transcribe")
    def transcribe(file: Annotated[UploadFile, File()]) -> dict[str, str]:
        audio, _ = soundfile.read(io.BytesIO(file.file.read()), dtype="float32")
        with turn:
            (found,) = model.transcribe([audio], batch_size=1, num_workers=0, verbose=False)
        return {"text": found.text}

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    for name in ("model", "port", "device"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--lock", default="true", choices=("true", "false"))
    given = parser.parse_args()
    from nemo.collections.asr.models import ASRModel

    path = find(Settings(model=given.model, device=given.device))
    model = ASRModel.restore_from(str(path), map_location=given.device).eval()
    uvicorn.run(
        app_of(model, lock=given.lock == "true"),
        host="127.0.0.1",
        port=int(given.port),
        log_level="warning",
    )
