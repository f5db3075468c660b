"""Committed speech of the tiny model's world, as a client sends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import soundfile

from servers.common.audio import float_to_pcm16

AUDIO = Path(__file__).resolve().parents[3] / "samples" / "audio"


def manifest() -> dict[str, dict[str, Any]]:
    """Every committed clip by its id."""
    rows = (json.loads(line) for line in (AUDIO / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    return {row["id"]: row for row in rows}


def sentence_clips() -> list[str]:
    """Ids of whole sentences over the tiny vocabulary."""
    return [name for name in manifest() if name.startswith("turn-complete-tiny-")]


def learned_clips() -> list[str]:
    """Those of them whose texts tiny models have been taught."""
    return [clip for clip in sentence_clips() if manifest()[clip]["split"] == "train"]


def pcm_of(clip: str) -> bytes:
    """16 kHz mono, 16 bit."""
    samples, rate_hz = soundfile.read(AUDIO / manifest()[clip]["file"], dtype="float32")
    assert rate_hz == 16_000
    return float_to_pcm16(samples)
