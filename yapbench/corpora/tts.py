"""Text to speech by synthesisers of this machine: what one has to offer, and the two that the project brings doors to.

Knows texts and samples; knows no corpus and no cache. An engine of one's own is one more class in ENGINES.
"""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from samples import flite
from samples.errors import EngineMissing, SamplesError
from samples.speech import WORD_ERROR_S
from yapbench.corpora import espeak
from yapbench.corpus import Word
from yapbench.errors import UsageError

SLOWEST: Final = 0.5
FASTEST: Final = 2.0
"""Limits of rate and of pitch, as factors of the voice's own."""

_SPEAKABLE: Final = (  # pattern and what is spoken in its place, in this order
    (r"[‘’]", "'"),
    (r"(?<!\w)'|'(?!\w)", ""),  # quotation marks; those within words stay
    (r'["“”«»()\[\]{}*_]', " "),
    (r"[!…]", "."),
    (r"[;:](?=\s|$)", ","),
    (r"\s*[–—]\s*|\s+-+\s+", ", "),
    (r"\s+([,.?])(?=\s|$)", r"\1"),
    (r"([,.?])[,.?]+(?=\s|$)", r"\1"),
    (r"^[\s,.?]+", ""),
)


@dataclass(frozen=True)
class Spoken:
    """Mono float32 samples in -1..1, shape (n,); words in order, without those whose times the engine does not know."""

    samples: NDArray[np.float32] = field(repr=False)
    sample_rate_hz: int
    words: tuple[Word, ...] = ()


class Engine(Protocol):
    """A synthesiser. The same version, text, voice, rate and pitch must give the same samples."""

    name: str
    default_voice: str

    def version(self) -> str:
        """Of what makes the sound. Raises UsageError where it is not installed, saying how to get it."""

    def language(self, voice: str) -> str:
        """Which language `voice` speaks, as "en". Raises UsageError for a voice it cannot have."""

    def word_error_s(self, voice: str) -> float | None:
        """Nine of ten word boundaries are nearer to the sound than this; None where nobody measured."""

    def speak(self, text: str, *, voice: str, rate: float, pitch: float) -> Spoken:
        """Speak `text`. Raises UsageError for a text or voice that it cannot speak."""


class Flite:
    """flite: English in four small voices, with word times. In this process, through its library."""

    name = "flite"
    default_voice = "slt"

    def version(self) -> str:
        return _flite_version()

    def language(self, voice: str) -> str:
        if voice not in flite.MEAN_F0_HZ:
            raise UsageError.unknown("voice of flite", voice, flite.MEAN_F0_HZ)
        return "en"

    def word_error_s(self, voice: str) -> float | None:
        return WORD_ERROR_S.get(voice)

    def speak(self, text: str, *, voice: str, rate: float, pitch: float) -> Spoken:
        plain = speakable(text)
        if odd := sorted({letter for letter in plain if not letter.isascii()}):
            raise UsageError(f"flite speaks English in ASCII only, and not {' '.join(odd)}: try espeak-ng: {text!r}")
        try:
            pcm, sample_rate_hz, words = flite.speak(plain, speaker=voice, pitch=pitch, rate=rate)
        except SamplesError as error:
            raise UsageError(str(error)) from error
        return _spoken(pcm, sample_rate_hz, tuple(Word(word.word, word.start_s, word.end_s) for word in words))


class EspeakNg:
    """espeak-ng: many languages, a robotic voice, times of most words. In a process of its own for each text."""

    name = "espeak-ng"
    default_voice = "en"

    def version(self) -> str:
        return _espeak_version()

    def language(self, voice: str) -> str:
        found = re.fullmatch(r"([a-z]{2,3})(-[a-z0-9-]+)?(\+[a-zA-Z0-9]+)?", voice)
        if found is None:
            raise UsageError(f"voice {voice!r}: expected one of `espeak-ng --voices`, such as en-us, fr or fr+f2")
        return found[1]

    def word_error_s(self, voice: str) -> float | None:
        return WORD_ERROR_S.get(voice)

    def speak(self, text: str, *, voice: str, rate: float, pitch: float) -> Spoken:
        pcm, sample_rate_hz, words = espeak.speak(speakable(text), voice=voice, rate=rate, pitch=pitch)
        return _spoken(pcm, sample_rate_hz, words)


ENGINES: Final[Mapping[str, Callable[[], Engine]]] = MappingProxyType({"flite": Flite, "espeak-ng": EspeakNg})


def build(name: str) -> Engine:
    """The engine called `name`. Raises UsageError with the nearest name."""
    if name not in ENGINES:
        raise UsageError.unknown("tts engine", name, ENGINES)
    return ENGINES[name]()


def speakable(text: str) -> str:
    """`text` with the punctuation that both engines count alike: commas, periods, question marks; apostrophes stay.

    What is shown as the reference is the text as it was given.
    """
    for pattern, spoken in _SPEAKABLE:
        text = re.sub(pattern, spoken, text)
    return " ".join(text.split())


def _spoken(pcm: NDArray[np.int16], sample_rate_hz: int, words: tuple[Word, ...]) -> Spoken:
    samples = pcm.astype(np.float32) / np.float32(32768.0)
    return Spoken(samples, sample_rate_hz, words)


@functools.cache
def _flite_version() -> str:
    """From the name of the library's file, libflite.so.2.2: it has no function that tells."""
    try:
        ctypes.CDLL("libflite.so.1")
    except OSError as error:
        raise UsageError(str(EngineMissing("flite", cause=str(error)))) from error
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"(/\S*libflite\.so\S*)", maps)
    path = Path(found[1]).resolve() if found else Path("libflite.so.1")
    return path.name.removeprefix("libflite.so.")


_ASK_ESPEAK: Final = """\
import ctypes as C
library = C.CDLL("libespeak-ng.so.1")
library.espeak_Info.restype = C.c_char_p
print(library.espeak_Info(None).decode())
"""


@functools.cache
def _espeak_version() -> str:
    """Asked in a process of its own, as everything of espeak-ng is (samples/README.md says why)."""
    done = subprocess.run([sys.executable, "-I", "-c", _ASK_ESPEAK], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        cause = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise UsageError(str(EngineMissing("espeak-ng", cause=cause)))
    return done.stdout.strip()
