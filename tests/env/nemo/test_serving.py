"""The real server process on tiny: what it hears, what it says of itself, what ends its start."""

from __future__ import annotations

import asyncio
import itertools
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
import torch
import websockets

from servers.common.audio import pcm16_to_float
from servers.common.settings import load
from servers.fastconformer.model_load import build, load_model
from servers.fastconformer.settings import Settings
from tests.env.nemo.clips import pcm_of
from tests.env.nemo.streams import alone
from tests.server_port import wait_for_port

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
CLIPS = ("turn-complete-tiny-002-slt", "turn-complete-tiny-006-rms-p0.90", "paragraph-tiny-short-01-awb")


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "servers.fastconformer", "--port=0", "--host=127.0.0.1", "--log-format=json", *flags]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("server")
    log = folder / "server.log"
    flags = ("--model=tiny", "--device=cpu", "--max-streams=12")
    with log.open("wb") as file:
        process = subprocess.Popen(command(*flags), cwd=folder, env=ENVIRONMENT, stdout=file, stderr=file)
    try:
        yield wait_for_port(process, log)
    finally:
        process.terminate()
        assert process.wait(20) == 0


async def hear(port: int, pcm: bytes, *, frame_bytes: int = 640, pace_s: float = 0.0) -> list[dict[str, Any]]:
    """All messages of one session."""
    async with websockets.connect(f"ws://127.0.0.1:{port}/") as socket:
        await socket.send(json.dumps({"op": "init", "sid": "me", "sr": 16_000}))
        for start in range(0, len(pcm), frame_bytes):
            await socket.send(pcm[start : start + frame_bytes])
            await asyncio.sleep(pace_s)
        await socket.send(json.dumps({"op": "close"}))
        messages = [json.loads(message) async for message in socket]
        assert socket.close_code == 1000
        return messages


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    """What the engine says of each clip alone."""
    settings = load(Settings, ["--model=tiny", "--device=cpu"])
    engine = build(load_model(settings, torch.device("cpu")), settings, torch.device("cpu"))
    return {clip: alone(engine, pcm16_to_float(pcm_of(clip))).text.strip() for clip in CLIPS}


async def test_twelve_clients_at_once_each_get_their_own_text(port: int, expected: dict[str, str]) -> None:
    sizes = (640, 641, 1, 3200, 2560, 100_000)
    asked = [(clip, size) for clip in CLIPS for size in sizes if size > 1][:12]
    heard = await asyncio.gather(*(hear(port, pcm_of(clip), frame_bytes=size) for clip, size in asked))

    for (clip, _), messages in zip(asked, heard, strict=True):
        assert messages[-1]["op"] == "final"
        assert messages[-2] == messages[-1] | {"op": "interim", "final": False, "ts": messages[-2]["ts"]}
        assert messages[-1]["text"] == expected[clip]
    assert all(len(text.split()) > 4 for text in expected.values())


async def test_words_come_while_they_are_spoken(port: int, expected: dict[str, str]) -> None:
    messages = await hear(port, pcm_of(CLIPS[2]), pace_s=0.005)
    texts = [message["text"] for message in messages]

    assert len(set(texts)) > 5
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))


def test_it_says_what_it_is(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=20) as answer:
        status = json.load(answer)

    assert (status["device"], status["dtype"], status["look_ahead_ms"]) == ("cpu", "torch.float32", 80)
    assert status["look_aheads_ms"] == [0, 80, 480, 1040]
    assert status["model"]["model_id"] == "tiny" and len(status["model"]["sha256"]) == 64
    assert status["seats"]["total"] == 12


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--model=broken.nemo", "--device=cpu"), "cannot be loaded as a NeMo model"),
        (("--model=tiny", "--device=cuda:0"), "no CUDA device is visible"),
    ],
)
def test_what_cannot_be_served_ends_the_start_with_one_line(tmp_path: Path, flags: tuple[str, ...], words: str) -> None:
    (tmp_path / "broken.nemo").write_bytes(np.random.default_rng(0).bytes(2000))
    done = subprocess.run(
        command(*flags), cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]
