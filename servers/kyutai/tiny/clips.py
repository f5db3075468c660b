"""The two clips beside the checkpoint: 24 kHz, whole frames of 80 ms from the first sample on, words and times known.

`python -m servers.kyutai.tiny.clips` writes them again. Needs flite; imports no model runtime.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from samples.lessons import texts
from samples.pool import Split
from samples.sound import levelled
from samples.speech import speak
from samples.voices import Voice
from samples.word import Word

FOLDER: Final = Path(__file__).with_name("clips")
INDEX: Final = "clips.json"
RATE_HZ: Final = 24_000
FRAME: Final = 1920
GAP_S: Final = 1.2
"""Between two sentences of a clip, and behind the last one."""
PLANNED: Final = {"sentence.wav": ("slt", (0,)), "turns.wav": ("rms", (3, 10))}
"""File, voice, and which of the known sentences are spoken in it."""


def spoken(speaker: str, places: tuple[int, ...]) -> tuple[NDArray[np.int16], list[Word]]:
    """int16 at RATE_HZ, shape (frames x FRAME,), and its words, in lower case, in seconds of the clip."""
    known = texts.known(Split.TRAIN)
    pieces: list[NDArray[np.float32]] = []
    words: list[Word] = []
    for place in places:
        samples, rate_hz, found = speak(known[place].written, Voice(speaker))
        begin_s = sum(map(len, pieces)) / RATE_HZ
        said = zip(known[place].words, found, strict=True)
        words += [Word(word, round(begin_s + one.start_s, 4), round(begin_s + one.end_s, 4)) for word, one in said]
        speech = soxr.resample(levelled(samples, sample_rate_hz=rate_hz), rate_hz, RATE_HZ)
        pieces += [speech, np.zeros(round(GAP_S * RATE_HZ), np.float32)]
    whole = np.concatenate(pieces)
    whole = np.pad(whole, (0, -len(whole) % FRAME))
    return np.round(whole * 32767).astype(np.int16), words


def write(folder: Path) -> None:
    """The files of PLANNED and their index."""
    folder.mkdir(exist_ok=True)
    index = []
    for name, (speaker, places) in PLANNED.items():
        pcm, words = spoken(speaker, places)
        soundfile.write(folder / name, pcm, RATE_HZ, subtype="PCM_16")
        index.append(
            {
                "file": name,
                "text": " ".join(word.word for word in words),
                "voice": speaker,
                "licence": "CC0-1.0",
                "words": [{"word": word.word, "start_s": word.start_s, "end_s": word.end_s} for word in words],
            }
        )
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(FOLDER)
