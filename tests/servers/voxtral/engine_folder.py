"""What tests of the engine stand on: a model's folder, settings of a child without vLLM, and patience."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from servers.voxtral.settings import Settings

AUDIO = {"transcription_format": "streaming", "transcription_delay_ms": 480, "sampling_rate": 16_000}
ROOT = Path(__file__).resolve().parents[3]


def model_folder(folder: Path, **audio: Any) -> Path:
    """params.json, weights, tekken.json."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text("{}")
    (folder / "consolidated.safetensors").write_bytes(b"weights")
    (folder / "tekken.json").write_text(json.dumps({"config": {"version": "v11"}, "audio": AUDIO | audio}))
    return folder


def scripted_settings(place: Path, *flags: str, **knobs: Any) -> Settings:
    """Of a gateway whose child is the scripted engine with `flags`."""
    if not (place / "model").is_dir():
        model_folder(place / "model")
    words = [sys.executable, "-m", "tests.servers.voxtral.scripted_vllm", *flags]
    given = {"engine_command": shlex.join(words), "model": str(place / "model"), "model_dir": place / "copies"}
    return Settings(**{**given, "api_key": "secret", "engine_start_timeout_s": 30.0, **knobs})


async def until(reached: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """Returns when it is so; raises TimeoutError when it does not become so."""
    async with asyncio.timeout(timeout_s):
        while not reached():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
