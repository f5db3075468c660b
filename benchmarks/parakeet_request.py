"""What a request costs beside the model: CPU of the server process for 10 s of audio, around a model that only answers.

Receiving, decoding, queue, answer and access line are in it, the client is not: it is another process. The bar is
3 ms for a 16 kHz WAV; the other rows show what a format adds. Takes half a minute. Not a test: machines are shared.
"""

# isort: skip_file
from __future__ import annotations

from servers.common.threads import pin_blas_threads

pin_blas_threads()

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import soundfile

from servers.common.interfaces import Audio, ModelIdentity
from servers.parakeet.interfaces import WINDOW_SAMPLES, Probabilities, VadState
from servers.parakeet.transcript import Span, Transcript, Word

ROOT = Path(__file__).resolve().parent.parent
SECONDS, REQUESTS, WARM_UP, BAR_MS = 10, 300, 50, 3.0
WORDS = tuple(Word(f"word{at}", at * 0.4, at * 0.4 + 0.3, 0.9) for at in range(25))
TEXT = " ".join(word.text for word in WORDS)


class Ready:
    """Answers without listening."""

    def transcribe(self, batch: Sequence[Audio]) -> list[Transcript]:
        said = Transcript(TEXT, WORDS, (Span(TEXT, 0.0, 10.0),), WORDS * 3)
        return [said for _ in batch]

    def status(self) -> Mapping[str, Any]:
        return {"device": "none", "dtype": "none"}


class Quiet:
    """Hears nothing."""

    def start(self) -> VadState:
        nothing = np.zeros(0, np.float32)
        return VadState(nothing, nothing, nothing)

    def hear(self, state: VadState, samples: Audio) -> tuple[VadState, Probabilities]:
        return state, np.zeros(len(samples) // WINDOW_SAMPLES, np.float32)


def serve_ready(port: str) -> int:
    """The server as users run it, but for the model."""
    from servers.common.serve import serve
    from servers.common.settings import parse
    from servers.parakeet.app import create_app
    from servers.parakeet.settings import Settings

    settings = parse(Settings, ["--device=cpu", "--window-ms=0", "--host=127.0.0.1", f"--port={port}"])
    identity = ModelIdentity(model_id="none", revision="", sha256="")
    return serve(settings, lambda s: create_app(s, build=Ready, build_detector=Quiet, identity=identity))


def sound(*, kind: str = "WAV", rate_hz: int = 16_000, channels: int = 1) -> bytes:
    noise = 0.1 * np.random.default_rng(0).standard_normal((SECONDS * rate_hz, channels), np.float32)
    written = io.BytesIO()
    soundfile.write(written, noise, rate_hz, format=kind)
    return written.getvalue()


def cases() -> dict[str, dict[str, Any]]:
    wav = {"file": ("a.wav", sound())}
    verbose = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
    return {
        "WAV 16 kHz": {"url": "/transcribe", "files": wav},
        "WAV 16 kHz, bare body": {"url": "/transcribe", "content": sound(), "headers": {"content-type": "audio/wav"}},
        "WAV 16 kHz, timestamps": {"url": "/transcribe", "files": wav, "data": {"include_timestamps": "true"}},
        "WAV 16 kHz, OpenAI verbose_json": {"url": "/v1/audio/transcriptions", "files": wav, "data": verbose},
        "WAV 44.1 kHz stereo": {"url": "/transcribe", "files": {"file": sound(rate_hz=44_100, channels=2)}},
        "FLAC 16 kHz": {"url": "/transcribe", "files": {"file": sound(kind="FLAC")}},
        "MP3 16 kHz": {"url": "/transcribe", "files": {"file": sound(kind="MP3")}},
    }


def cost_ms(process: psutil.Process, address: str, request: dict[str, Any], *, clients: int) -> float:
    """CPU ms of the server for each of REQUESTS requests."""
    share = REQUESTS // clients

    def ask(count: int) -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            for _ in range(count):
                client.post(**request).raise_for_status()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, [WARM_UP // clients] * clients))
        before = process.cpu_times()
        list(pool.map(ask, [share] * clients))
    after = process.cpu_times()
    return 1e3 * (after.user - before.user + after.system - before.system) / (share * clients)


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, __file__, "--serve", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=ROOT) as server:
        try:
            measure(psutil.Process(server.pid), f"http://127.0.0.1:{port}")
        finally:
            server.terminate()


def measure(process: psutil.Process, address: str) -> None:
    until_s = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{address}/ready").raise_for_status()
            break
        except httpx.HTTPError:
            assert time.monotonic() < until_s, "the server does not start"
            time.sleep(0.1)
    found = {}
    print(f"{'10 s as':32} {'1 client':>10} {'8 clients':>10}   CPU ms of the server a request")
    for name, request in cases().items():
        one, eight = (cost_ms(process, address, request, clients=clients) for clients in (1, 8))
        found[name] = {"1": round(one, 3), "8": round(eight, 3)}
        print(f"{name:32} {one:10.2f} {eight:10.2f}")
    worst = max(found["WAV 16 kHz"].values())
    print(f"WAV 16 kHz: {worst:.2f} ms, bar {BAR_MS:g} {'met' if worst <= BAR_MS else 'MISSED'}")
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        sys.path.insert(0, str(ROOT))
        sys.exit(serve_ready(sys.argv[2]))
    main()
