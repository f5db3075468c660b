"""espeak-ng: 16-bit samples, and word times from its own word and phoneme events. For French; a robotic voice.

Each text is spoken by espeak_child.py in a process of its own, which says why.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from samples.errors import EngineMissing, SynthesisError
from samples.espeak_child import NO_LIBRARY
from samples.word import Word

OWN_RATE_WPM: Final = 160
"""Words per minute at rate 1: a little below espeak-ng's default, which is hasty."""


def speak(text: str, *, speaker: str, pitch: float, rate: float) -> tuple[NDArray[np.int16], int, tuple[Word, ...]]:
    """Mono int16 samples, shape (n,); their rate in Hz; one Word per blank-separated part of `text`.

    Raises EngineMissing without libespeak-ng, SynthesisError if it fails or passes over a word.
    """
    # Its pitch scale: 0 halves the speaker's own, 50 keeps it, 99 doubles it.
    scale = min(99, max(0, round(50 * (1 + math.log2(pitch)))))
    asked = {"text": text, "speaker": speaker, "rate_wpm": round(OWN_RATE_WPM * rate), "pitch": scale}
    child = [sys.executable, "-I", str(Path(__file__).with_name("espeak_child.py"))]
    done = subprocess.run(child, input=json.dumps(asked).encode(), capture_output=True, check=False)
    problem = done.stderr.decode(errors="replace").strip()
    if done.returncode == NO_LIBRARY:
        raise EngineMissing("espeak-ng", cause=problem)
    head, _, sound = done.stdout.partition(b"\n")
    if done.returncode != 0 or not sound:
        raise SynthesisError("espeak-ng", text, f"exit {done.returncode}, {len(sound)} bytes {problem}")
    said = json.loads(head)
    pcm = np.frombuffer(sound, np.int16)
    rate_hz = int(said["sample_rate_hz"])
    return pcm, rate_hz, _words(text, said["words"], said["pauses"], sample_rate_hz=rate_hz, count=len(pcm))


def _words(
    text: str, starts: list[tuple[int, int]], pauses: list[int], *, sample_rate_hz: int, count: int
) -> tuple[Word, ...]:
    """A word lasts from its event to the first pause or word event behind it."""
    ends = sorted({sample for _, sample in starts} | set(pauses) | {count})
    words: list[Word] = []
    position = 0
    for part in text.split():
        position = text.index(part, position)
        own = [sample for at, sample in starts if position <= at < position + len(part)]
        position += len(part)
        if not own:
            raise SynthesisError("espeak-ng", text, f"no time for {part!r}")
        end = next(sample for sample in ends if sample > own[-1])
        word = part.strip(",.?")
        words.append(Word(word, round(own[0] / sample_rate_hz, 4), round(end / sample_rate_hz, 4)))
    return tuple(words)
