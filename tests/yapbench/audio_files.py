"""Audio files for tests of corpora: short, of sound, written by soundfile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from yapbench.corpora import tts
from yapbench.errors import UsageError


def write(path: Path, *, seconds: float = 0.5, rate_hz: int = 16_000, hz: float = 200, level: float = 0.2) -> Path:
    """A tone with one pause in its middle; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    pause = np.abs(times - seconds / 2) < seconds / 10
    samples = np.where(pause, 0, level * np.sin(2 * np.pi * hz * times)).astype(np.float32)
    soundfile.write(path, samples, rate_hz)
    return path


def needs(engine: str) -> tts.Engine:
    """The synthesiser, or a skip where this machine has none."""
    found = tts.build(engine)
    try:
        found.version()
    except UsageError:
        pytest.skip(f"needs {engine}")
    return found
