"""A tiny model's training speech: which text is spoken by whom, how high and how fast, and the pack that keeps it.

Knows no model; batches.py draws from the pack. Speaking needs flite.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import texts
from samples.lessons.texts import Text
from samples.pool import Split
from samples.sound import Samples
from samples.speech import speak
from samples.voices import Voice

VOICES: Final = ("slt", "rms", "awb")
UNHEARD_VOICE: Final = "kal16"
"""Speaks no training clip."""

RATES: Final = (0.85, 1.2)
PITCHES: Final = (0.85, 1.18)
KEPT_RATES: Final = (0.95, 1.05)
"""Rates at which the model is tested: no training clip is within RATE_MARGIN of them, resampled or not."""
RATE_MARGIN: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How many clips are spoken."""

    per_sentence: int = 12
    per_paragraph: int = 12
    made: int = 5100


@dataclass(frozen=True, slots=True)
class Order:
    """One clip to be spoken."""

    text: Text
    speaker: str
    pitch: float
    rate: float


@dataclass(frozen=True)
class Pack:
    """Spoken clips one after another.

    `pcm` (n,) int16 at 16 kHz, `ends` (clips,) where each one ends; `spans` (words, 2) float32, when each word of all
    clips begins and ends, in seconds of its own clip, `spoken` (clips,) how many words have been spoken by its end.
    """

    orders: tuple[Order, ...]
    pcm: NDArray[np.int16]
    ends: NDArray[np.int64]
    spans: NDArray[np.float32]
    spoken: NDArray[np.int64]

    def clip(self, at: int) -> Samples:
        """float32, shape (n,)."""
        return self.pcm[int(self.ends[at - 1]) if at else 0 : int(self.ends[at])].astype(np.float32) / np.float32(32768)

    def spans_of(self, at: int) -> NDArray[np.float32]:
        """When its words begin and end, shape (words, 2), in seconds."""
        return self.spans[int(self.spoken[at - 1]) if at else 0 : int(self.spoken[at])]


def ordered(amount: Amount, *, seed: int) -> list[Order]:
    """Every clip of the training, at a pitch and a rate of its own."""
    rng = np.random.default_rng(seed)
    chosen = [text for text in texts.known(Split.TRAIN) for _ in range(amount.per_sentence)]
    for paragraph in texts.known_paragraphs(Split.TRAIN):
        chosen += [paragraph] * amount.per_paragraph
        chosen += [part for part in texts.parts(paragraph) for _ in range(amount.per_sentence // 2)]
    chosen += texts.made(amount.made, rng=rng)
    return [
        Order(text, VOICES[at % len(VOICES)], round(float(rng.uniform(*PITCHES)), 3), draw_rate(rng))
        for at, text in enumerate(chosen)
    ]


def draw_rate(rng: np.random.Generator) -> float:
    """A rate that is not kept for testing."""
    while True:
        rate = round(float(rng.uniform(*RATES)), 3)
        if not is_kept(rate):
            return rate


def is_kept(rate: float) -> bool:
    return min(abs(rate - kept) for kept in KEPT_RATES) <= RATE_MARGIN


def packed(orders: Sequence[Order], folder: Path, *, processes: int = 2) -> Pack:
    """`orders` spoken, or read from `folder` where they have been spoken before. Raises EngineMissing without flite."""
    file = folder / f"{name_of(orders)}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            made = pool.map(pronounced, orders, chunksize=64)
        written = file.with_suffix(".part.npz")
        np.savez(
            written,
            pcm=np.concatenate([pcm for pcm, _ in made]),
            ends=np.cumsum([len(pcm) for pcm, _ in made], dtype=np.int64),
            spans=np.concatenate([spans for _, spans in made]),
            spoken=np.cumsum([len(spans) for _, spans in made], dtype=np.int64),
        )
        written.replace(file)
    held = np.load(file)
    return Pack(tuple(orders), held["pcm"], held["ends"], held["spans"], held["spoken"])


def name_of(orders: Sequence[Order]) -> str:
    """Of the pack that holds them: other orders, another name."""
    content = json.dumps([asdict(order) for order in orders])
    return f"speech-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def pronounced(order: Order) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """What the voice says, at 90 % of full scale and 16 kHz, shape (n,); and the spans of its words (words, 2)."""
    samples, rate_hz, words = speak(order.text.written, Voice(order.speaker, order.pitch, order.rate))
    if rate_hz != SAMPLE_RATE_HZ:
        samples = soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ)
    pcm = (samples * (0.9 * 32767 / np.abs(samples).max())).astype(np.int16)
    return pcm, np.array([(word.start_s, word.end_s) for word in words], np.float32)
