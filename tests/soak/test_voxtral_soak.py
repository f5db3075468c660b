"""Ninety minutes of audio in one utterance, at a high pace: no word is lost or doubled, and memory stays flat."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from pathlib import Path

import httpx
import pytest

from tests.servers.voxtral.conftest import Call, clean_environment, dial
from tests.servers.voxtral.fake_engine_gateway import Pair, running
from tests.servers.voxtral.marked_speech import numbers_of, silence, speech

__all__ = ["clean_environment"]

MINUTES, EVERY_S, BLOCK = 90, 0.4, 100
AHEAD = 25
"""Numbers that are sent before they are told: 10 s, so that nothing is dropped as too much."""
FLAGS = ("--max-messages-per-window=0", "--max-connection-duration-s=0")


class Progress:
    """How far the engine has heard, by the last whole number that was told."""

    def __init__(self) -> None:
        self.told = -1
        self._tail = ""
        self._news = asyncio.Event()

    def hear(self, delta: str) -> None:
        if not delta:
            return
        self._tail = (self._tail + delta)[-16:]
        *whole, _ = self._tail.rpartition(" ")
        with contextlib.suppress(ValueError, IndexError):
            self.told = max(self.told, int(whole[0].split()[-1].removeprefix("w")))
        self._news.set()

    async def wait_until(self, number: int) -> None:
        while self.told < number:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 60)


async def speak(call: Call, progress: Progress, pair: Pair, *, pause_s: float) -> list[int]:
    """The whole utterance; the gateway's memory on the way, in KiB."""
    memory_kib, count = list[int](), round(MINUTES * 60 / (EVERY_S + pause_s / BLOCK))
    for first in range(0, count, 10):
        await progress.wait_until(first - AHEAD)
        await call.say(speech(range(first, min(first + 10, count)), every_s=EVERY_S, noise=100, seed=first))
        if first % BLOCK == BLOCK - 10:
            await call.say(silence(pause_s))
        if first % 500 == 0:
            memory_kib.append(pair.resident_kib)
    await call.finish()
    return memory_kib


async def listen(call: Call, progress: Progress) -> str:
    """Until the end; what came is not kept, but for the text of `done`."""
    while True:
        row = await call.hear(within_s=120)
        call.rows.clear()
        assert row["type"] in ("transcription.delta", "transcription.done"), row
        if row["type"] == "transcription.done":
            return str(row["payload"]["text"])
        progress.hear(row["payload"]["delta"])


def rollovers_of(pair: Pair) -> float:
    """So often the utterance went on in a new request."""
    lines = httpx.get(f"http://{pair.address}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("voxtral_rollovers_total{"))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pause_s", [0.8, 0.0], ids=["pauses", "no pauses"])
async def test_ninety_minutes_in_one_utterance(tmp_path: Path, pause_s: float) -> None:
    with running(tmp_path, gateway=FLAGS) as pair:
        async with dial(pair.url) as call:
            progress = Progress()
            await call.begin()
            memory_kib, text = await asyncio.gather(
                speak(call, progress, pair, pause_s=pause_s), listen(call, progress)
            )
        rollovers = rollovers_of(pair)
    count = round(MINUTES * 60 / (EVERY_S + pause_s / BLOCK))
    assert numbers_of(text) == list(range(count))
    assert rollovers > MINUTES * 60 / 300 - 2
    early, late = statistics.median(memory_kib[3:6]), statistics.median(memory_kib[-3:])
    assert late < 1.05 * early + 4_000
