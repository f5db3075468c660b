"""What the calibration's streams say: nothing, for as long as is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from yapbench.clients.interface import Audio
from yapbench.corpus import Corpus, Utterance
from yapbench.pacing.schedule import order

RATE_HZ = 16_000


def lengths(seconds: Sequence[float], folder: Path) -> Corpus:
    """One utterance of each length, as files in `folder`."""
    return Corpus.of("silence", [_silence(length, folder) for length in seconds])


def once(streams: int, seconds: float, folder: Path, *, rest_s: float, seed: int = 0) -> Corpus:
    """For a closed loop: the first `streams` requests speak `seconds`, those after them only `rest_s`.

    A loop keeps its load up until the last counted utterance has ended. Without the short ones each stream would
    speak a second time, for nothing.
    """
    long, short = _silence(seconds, folder), _silence(rest_s, folder)
    return Corpus("silence", tuple(arranged(streams, long, short, seed=seed)), "")


def arranged(streams: int, long: Utterance, short: Utterance, *, seed: int) -> list[Utterance]:
    """As many of each, placed so that the load generator, whose order is known here too, begins with the long ones."""
    said = [short] * (2 * streams)
    for position in order(2 * streams, seed=seed, repeat=0)[:streams]:
        said[position] = long
    return said


def silence(seconds: float) -> Audio:
    """So much of it, shape (n,)."""
    return np.zeros(round(seconds * RATE_HZ), dtype=np.float32)


def _silence(seconds: float, folder: Path) -> Utterance:
    path = folder / f"{seconds:g}s.wav"
    soundfile.write(path, silence(seconds), RATE_HZ, subtype="PCM_16")
    return Utterance(id=f"{seconds:g}s", duration_s=seconds, path=path)
