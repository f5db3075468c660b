"""The real server process on v2: what it answers, what it says of itself, what ends its start."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.env.torch.reference import Reference, speech
from tests.server_port import wait_for_port

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "servers.smart_turn", "--port=0", "--host=127.0.0.1", "--log-format=json", *flags]


@pytest.fixture(scope="module")
def url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(f"--model={checkpoint}", "--sessions=2"), cwd=folder, env=ENVIRONMENT, stdout=file, stderr=file
        )
    try:
        yield f"http://127.0.0.1:{wait_for_port(process, log)}"
    finally:
        process.terminate()
        assert process.wait(20) == 0


def read(request: str | urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_server_answers_what_the_reference_says(url: str, small: Reference) -> None:
    clip, body = speech(7, 3.0), io.BytesIO()
    np.save(body, clip)

    answer = read(urllib.request.Request(f"{url}/raw", data=body.getvalue()))

    assert answer["probability"] == pytest.approx(small.ask(clip), abs=1e-5)


def test_the_status_says_which_engine_runs(url: str, checkpoint: Path) -> None:
    status = read(f"{url}/status")

    assert (status["backend"], status["device"], status["dtype"]) == ("v2-torch", "cpu", "torch.float32")
    assert (status["max_secs"], status["sessions"], status["compile"]["state"]) == (16, 2, "off")
    assert status["model"]["model_id"] == checkpoint.name and len(status["model"]["sha256"]) == 64
    assert "torch" in status["versions"] and not status["compiled_ready"]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--device=cuda:0"], "sees no CUDA device"),
        (["--cuda-graphs=1"], "--cuda-graphs (CUDA_GRAPHS) needs a CUDA device"),
        (["--model=./nowhere"], "nowhere has no config.json"),
    ],
)
def test_what_cannot_run_ends_the_start_with_one_line(flags: list[str], reason: str, checkpoint: Path) -> None:
    words = command(f"--model={checkpoint}", *flags)
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=90, check=False)

    lines = [line for line in (done.stdout + done.stderr).splitlines() if reason in line]
    assert (done.returncode, len(lines)) == (1, 1), done.stderr
    assert "Traceback" not in done.stderr
