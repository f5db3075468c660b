"""`speak`: a text in a voice becomes samples and word times. The one door to the synthesisers.

Knows neither the pool nor files; flite.py and espeak.py know the engines.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from samples.sound import Samples
from samples.voices import Voice
from samples.word import Word

VARIATION: Final = 0.04
"""How far a seed other than 0 moves pitch and rate, as a share of the voice's own."""

WORD_ERROR_S: Final = {"slt": 0.03, "rms": 0.03, "awb": 0.03, "kal16": 0.04, "fr": 0.05, "fr+f2": 0.1, "fr+m3": 0.05}
"""By speaker: nine of ten word boundaries are nearer to the sound than this (measured, see samples/README.md)."""


def speak(text: str, voice: Voice, *, seed: int = 0) -> tuple[Samples, int, tuple[Word, ...]]:
    """Mono float32 samples in -1..1, shape (n,); their sample rate in Hz; one Word per word of `text`.

    `seed` 0 is the voice as it is; another one varies pitch and rate by up to VARIATION. The same text, voice, seed
    and engine version give the same samples to the last bit, whatever was spoken before. Level and pauses at both
    ends are the engine's. Raises EngineMissing, SynthesisError.
    """
    # Engines are loaded by whoever first speaks: a bare machine can import this module.
    from samples import espeak, flite

    engine = flite.speak if voice.engine == "flite" else espeak.speak
    pitch, rate = 1.0, 1.0
    if seed:
        pitch, rate = 1.0 + VARIATION * np.random.default_rng(seed).uniform(-1.0, 1.0, 2)
    pcm, sample_rate_hz, words = engine(
        text, speaker=voice.speaker, pitch=float(voice.pitch * pitch), rate=float(voice.rate * rate)
    )
    return pcm.astype(np.float32) / np.float32(32768.0), sample_rate_hz, words
