"""espeak-ng for texts of any kind: samples, and the times of those words that it times apart from their neighbours.

It speaks short words as one ("on the"), so that no event tells where the first ends; such words are left out rather
than guessed. The program that talks to the library is samples/espeak_child.py, in a process of its own.
"""

from __future__ import annotations

import bisect
import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from samples import espeak_child
from samples.errors import EngineMissing
from samples.espeak import OWN_RATE_WPM
from yapbench.corpus import Word
from yapbench.errors import UsageError


def speak(text: str, *, voice: str, rate: float, pitch: float) -> tuple[NDArray[np.int16], int, tuple[Word, ...]]:
    """Mono int16 samples, shape (n,); their rate in Hz; words in order, possibly fewer than `text` has.

    Raises UsageError without libespeak-ng, for an unknown voice, and for a text that gives no sound.
    """
    # Its pitch scale: 0 halves the speaker's own, 50 keeps it, 99 doubles it.
    scale = min(99, max(0, round(50 * (1 + math.log2(pitch)))))
    asked = {"text": text, "speaker": voice, "rate_wpm": round(OWN_RATE_WPM * rate), "pitch": scale}
    command = [sys.executable, "-I", espeak_child.__file__]
    done = subprocess.run(command, input=json.dumps(asked).encode(), capture_output=True, check=False)
    problem = done.stderr.decode(errors="replace").strip()
    if done.returncode == espeak_child.NO_LIBRARY:
        raise UsageError(str(EngineMissing("espeak-ng", cause=problem)))
    if done.returncode == espeak_child.NO_SPEAKER:
        raise UsageError(f"espeak-ng has no voice {voice!r}; `espeak-ng --voices` lists them")
    head, _, sound = done.stdout.partition(b"\n")
    if done.returncode != 0 or not sound:
        raise UsageError(f"espeak-ng: exit {done.returncode}, {len(sound)} bytes {problem}: {text!r}")
    said = json.loads(head)
    pcm, rate_hz = np.frombuffer(sound, np.int16), int(said["sample_rate_hz"])
    return pcm, rate_hz, timed(text, said["words"], said["pauses"], sample_rate_hz=rate_hz, count=len(pcm))


def timed(
    text: str, events: Sequence[Sequence[int]], pauses: Sequence[int], *, sample_rate_hz: int, count: int
) -> tuple[Word, ...]:
    """The words of `text` that have both ends of their own, without their punctuation.

    `events` are (character of the text, sample) of begun words; an event may point at the blank before its word, and
    one that goes back in the text is an echo of a word that was told already. A word lasts from its first event to
    the first pause or event behind its last one.
    """
    parts = [(found.start(), found.group()) for found in re.finditer(r"\S+", text)]
    begins = [begin for begin, _ in parts]
    own: list[list[int]] = [[] for _ in parts]
    furthest = -1
    for at, sample in events:
        if at <= furthest:
            continue
        furthest = at
        on_blank = at < len(text) and text[at].isspace()
        index = bisect.bisect_right(begins, at) - (0 if on_blank else 1)
        if index < len(parts):
            own[index].append(sample)
    ends = sorted({sample for _, sample in events} | set(pauses) | {count})
    words = []
    for index, (_, part) in enumerate(parts):
        end = next((sample for sample in ends if own[index] and sample > own[index][-1]), None)
        if end is None:
            continue
        # Where the next word has no time of its own, this end is the end of both.
        alone = index + 1 == len(parts) or (own[index + 1] and own[index + 1][0] >= end)
        if alone and (word := part.strip(",.?")):
            words.append(Word(word, round(own[index][0] / sample_rate_hz, 4), round(end / sample_rate_hz, 4)))
    return tuple(words)
