"""The real server process with the tiny model: both encodings, Opus and files say what the clips say."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import ClientConnection, connect

from servers.common.interfaces import Audio
from tests.server_port import wait_for_port

ROOT = Path(__file__).resolve().parents[3]
CLIPS = ROOT / "servers" / "kyutai" / "tiny" / "clips"
PATH = "/api/asr-streaming"
HEADERS = {"kyutai-api-key": "k"}


@dataclass(frozen=True)
class Clip:
    data: bytes
    audio: Audio
    text: str
    starts_s: Sequence[float]


def read_clips() -> list[Clip]:
    found = []
    for row in json.loads((CLIPS / "clips.json").read_text(encoding="utf-8")):
        path = CLIPS / row["file"]
        audio, _ = soundfile.read(path, dtype="float32")
        found.append(Clip(path.read_bytes(), audio, row["text"], [word["start_s"] for word in row["words"]]))
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    log = folder / "server.log"
    flags = ["--port=0", "--host=127.0.0.1", "--log-format=json", "--model=tiny", "--device=cpu", "--seats=6"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "KYUTAI_API_KEY": "k", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "servers.kyutai", *flags, "--refuse-late=false"],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        yield f"127.0.0.1:{wait_for_port(process, log)}"
    finally:
        process.terminate()
        assert process.wait(20) == 0


async def rows_of(ws: ClientConnection) -> list[dict[str, Any]]:
    """All messages up to the close, which is a good one."""
    rows = [json.loads(one) if isinstance(one, str) else msgpack.unpackb(one) async for one in ws]
    assert ws.close_code == 1000
    return rows


async def native(address: str, clip: Clip, *, mark: bool = False) -> list[dict[str, Any]]:
    async with connect(f"ws://{address}{PATH}", additional_headers=HEADERS) as ws:
        for at in range(0, len(clip.audio), 1920):
            pcm = clip.audio[at : at + 1920].tolist()
            await ws.send(msgpack.packb({"type": "Audio", "pcm": pcm}, use_single_float=True))
        if mark:
            await ws.send(msgpack.packb({"type": "Marker", "id": 1}))
            await asyncio.sleep(1.0)
        await ws.send(msgpack.packb({"type": "Flush"}))
        return await rows_of(ws)


async def in_json(address: str, clip: Clip) -> list[dict[str, Any]]:
    async with connect(f"ws://{address}/", additional_headers=HEADERS) as ws:
        await ws.send('{"type": "StartSTT"}')
        data = np.rint(clip.audio * 32_768).clip(-32_768, 32_767).astype("<i2").tobytes()
        for at in range(0, len(data), 4000):
            audio = base64.b64encode(data[at : at + 4000]).decode()
            await ws.send(json.dumps({"type": "Audio", "audio": audio}))
        await ws.send('{"type": "Flush"}')
        return await rows_of(ws)


def post(address: str, clip: Clip) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"http://{address}{PATH}", data=clip.data, headers=HEADERS)
    with urllib.request.urlopen(request, timeout=60) as answer:
        rows: list[dict[str, Any]] = json.load(answer)
    return rows


def words_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["type"] in ("Word", "EndWord")]


async def test_all_routes_at_once_say_what_the_clips_say(address: str) -> None:
    clips = read_clips()
    for clip, other in zip(clips, reversed(clips), strict=True):
        answers = await asyncio.gather(
            native(address, clip),
            native(address, other),
            native(address, clip, mark=True),
            in_json(address, clip),
            asyncio.to_thread(post, address, clip),
        )
        assert answers[0][-1] == answers[2][-1] == answers[3][-1] == {"type": "Final", "text": clip.text}
        assert answers[1][-1]["text"] == other.text
        assert words_of(answers[0]) == words_of(answers[4])
        starts_s = [row["start_time"] for row in answers[0] if row["type"] == "Word"]
        assert starts_s == pytest.approx(list(clip.starts_s), abs=0.2)


async def test_each_frame_is_one_step_with_four_probabilities(address: str) -> None:
    clip = read_clips()[0]
    steps = [row for row in await native(address, clip, mark=True) if row["type"] == "Step"]
    assert [step["step_idx"] for step in steps] == list(range(1, len(clip.audio) // 1920 + 1))
    assert all(len(step["prs"]) == 4 and 0 <= min(step["prs"]) <= max(step["prs"]) <= 1 for step in steps)
    assert steps[-1]["prs"][0] > 0.5 > min(step["prs"][0] for step in steps)


async def test_opus_is_heard(address: str) -> None:
    """The tiny model knows clean speech only: what it makes of Opus is not what was said."""
    import sphn

    clip, writer = read_clips()[0], sphn.OpusStreamWriter(24_000)
    parts = [writer.append_pcm(clip.audio[at : at + 1920]) for at in range(0, len(clip.audio), 1920)]
    async with connect(f"ws://{address}{PATH}", additional_headers=HEADERS) as ws:
        for part in parts:
            await ws.send(msgpack.packb({"type": "OggOpus", "data": part}))
        await ws.send(msgpack.packb({"type": "Flush"}))
        rows = await rows_of(ws)
    steps = [row for row in rows if row["type"] == "Step"]
    assert abs(len(steps) - len(parts)) <= 1 and rows[-1]["type"] == "Final"
