"""The real server process on tiny with the real detector: what its WebSocket hears, turn by turn."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.env.nemo.clips import learned_clips, manifest, pcm_of
from tests.server_port import wait_for_port

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
FLUSHED = {"status": "flushed"}
PAUSE_S = 0.8
TURNS = 16
LARGEST_ERROR = 0.05
"""Words that tiny may have wrong in known sentences."""


def command(*flags: str) -> list[str]:
    common = ("--port=0", "--host=127.0.0.1", "--log-format=json", "--device=cpu", "--window-ms=20")
    return [sys.executable, "-m", "servers.parakeet", "--model=tiny", *common, *flags]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("server")
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command("--partials-ms=400"), cwd=folder, env=ENVIRONMENT, stdout=file, stderr=file)
    try:
        yield wait_for_port(process, log)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def silence(seconds: float) -> bytes:
    return bytes(2 * round(16_000 * seconds))


async def converse(
    port: int, clips: list[str], *, frame_bytes: int = 640, times_real: float = 20.0
) -> list[dict[str, Any]]:
    """Everything that one session heard; each clip is followed by a pause."""
    pcm = silence(0.5) + b"".join(pcm_of(clip) + silence(PAUSE_S) for clip in clips)
    async with websockets.connect(f"ws://127.0.0.1:{port}/ws", ping_interval=None, proxy=None) as socket:

        async def speak() -> None:
            for start in range(0, len(pcm), frame_bytes):
                await socket.send(pcm[start : start + frame_bytes])
                await asyncio.sleep(frame_bytes / 32_000 / times_real)
            await socket.send(json.dumps({"type": "flush"}))

        speaking = asyncio.create_task(speak())
        rows: list[dict[str, Any]] = []
        while not rows or rows[-1] != FLUSHED:
            rows.append(json.loads(await asyncio.wait_for(socket.recv(), 60)))
        await speaking
        return rows


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def errors_between(said: list[str], heard: list[str]) -> int:
    """Levenshtein's distance in words."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        diagonal, row[0] = row[0], number
        for at, other in enumerate(heard, 1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (word != other))
    return row[-1]


def results_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert not any("error" in row for row in rows)
    results = [row for row in rows if "text" in row]
    assert sum(row.get("status") == "queued" for row in rows) == len(results)
    return results


def error_rate(turns: list[str], results: list[dict[str, Any]]) -> float:
    """Of sessions' turns; a turn is one chunk."""
    assert len(results) == len(turns)
    said = [words_of(str(manifest()[clip]["text"])) for clip in turns]
    wrong = sum(errors_between(words, words_of(row["text"])) for words, row in zip(said, results, strict=True))
    return wrong / sum(map(len, said))


async def test_each_turn_of_a_conversation_is_one_chunk_with_its_text(port: int) -> None:
    turns = learned_clips()[:6]
    rows = await converse(port, turns)
    results = results_of(rows)
    assert error_rate(turns, results) <= LARGEST_ERROR
    assert all(0 <= row["confidence"] <= 1 and len(row["words"]) == len(words_of(row["text"])) for row in results)


async def test_a_chunk_holds_all_of_its_turn_and_little_else(port: int) -> None:
    turns, begin_s = learned_clips()[12:16], 0.5
    results = results_of(await converse(port, turns))
    for clip, row in zip(turns, results, strict=True):
        words = manifest()[clip]["words"]
        assert begin_s + words[0]["start_s"] - 0.5 < row["start"] <= begin_s + words[0]["start_s"] + 0.05
        assert begin_s + words[-1]["end_s"] <= row["end"] < begin_s + words[-1]["end_s"] + 0.5
        begin_s += len(pcm_of(clip)) / 32_000 + PAUSE_S


async def test_words_lie_where_they_were_spoken(port: int) -> None:
    turns = learned_clips()[6:9]
    results = results_of(await converse(port, turns))
    begin_s, late_s = 0.5, []
    for clip, row in zip(turns, results, strict=True):
        truth = manifest()[clip]["words"]
        assert len(truth) == len(row["timestamps"])
        late_s += [
            heard["start"] - begin_s - word["start_s"] for word, heard in zip(truth, row["timestamps"], strict=True)
        ]
        assert row["start"] <= row["timestamps"][0]["start"] and row["timestamps"][-1]["end"] <= row["end"] + 0.32
        begin_s += len(pcm_of(clip)) / 32_000 + PAUSE_S
    assert sum(map(abs, late_s)) / len(late_s) <= 0.08


async def test_partials_come_while_a_turn_is_spoken(port: int) -> None:
    rows = await converse(port, ["turn-complete-tiny-014-slt"], times_real=1.0)
    kinds = ["partial" if "partial" in row else row.get("status", "result") for row in rows]
    assert kinds[0] == "partial" and kinds[-3:] == ["queued", "result", "flushed"]
    (result,) = results_of(rows)
    assert all(row["start"] == result["start"] for row in rows if "partial" in row)


async def test_sixteen_sessions_at_once_each_get_their_own_turns(port: int) -> None:
    clips = learned_clips()
    said = [[clips[(number + step) % len(clips)] for step in (0, 7)] for number in range(TURNS)]
    heard = await asyncio.gather(
        *(converse(port, turns, frame_bytes=(640, 641, 3200, 100_000)[n % 4]) for n, turns in enumerate(said))
    )
    results = [row for rows in heard for row in results_of(rows)]
    assert all(len(results_of(rows)) == 2 for rows in heard)
    assert error_rate([clip for turns in said for clip in turns], results) <= LARGEST_ERROR
    assert len({" ".join(row["text"] for row in results_of(rows)) for rows in heard}) == TURNS
    end_s = time.monotonic() + 10
    while (status := status_of(port))["seats"]["free"] != status["seats"]["total"]:
        assert time.monotonic() < end_s
        await asyncio.sleep(0.05)
    assert status["failed"] == status["rejected"] == 0


def status_of(port: int) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
