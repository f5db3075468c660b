"""A voice is an engine's speaker at a pitch and a rate; here is the list of those the samples and trainers use.

Knows no engine's interface: flite.py and espeak.py turn the factors into their own numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

from samples.pool import Language

Engine = Literal["flite", "espeak-ng"]

SPEAKERS: Final[dict[str, tuple[Engine, Language]]] = {
    "slt": ("flite", "en"),  # woman, US; statistical
    "rms": ("flite", "en"),  # man, US; statistical
    "awb": ("flite", "en"),  # man, Scottish; statistical, odd sentence ends
    "kal16": ("flite", "en"),  # man, US; diphones, robotic: a voice to keep unseen in training
    "fr": ("espeak-ng", "fr"),  # formant synthesis, as are the next two
    "fr+f2": ("espeak-ng", "fr"),
    "fr+m3": ("espeak-ng", "fr"),
}
"""Speaker names as the engines know them: engine and language."""

PITCHES: Final = (0.9, 1.0, 1.12)
RATES: Final = (0.9, 1.0, 1.1)

_NAME: Final = re.compile(r"(?P<speaker>[a-z0-9+]+?)(?:-p(?P<pitch>\d\.\d\d))?(?:-r(?P<rate>\d\.\d\d))?")


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker, its mean pitch and its rate as factors of the speaker's own (1.1 = a tenth higher, faster).

    Raises ValueError for a speaker that is not in SPEAKERS or a factor outside 0.5-2.0.
    """

    speaker: str
    pitch: float = 1.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.speaker not in SPEAKERS:
            raise ValueError(f"unknown speaker {self.speaker!r}; known: {', '.join(SPEAKERS)}")
        if not (0.5 <= self.pitch <= 2.0 and 0.5 <= self.rate <= 2.0):
            raise ValueError(f"pitch {self.pitch} and rate {self.rate} must lie in 0.5-2.0")

    @property
    def engine(self) -> Engine:
        return SPEAKERS[self.speaker][0]

    @property
    def language(self) -> Language:
        return SPEAKERS[self.speaker][1]

    @property
    def name(self) -> str:
        """`slt`, `slt-p0.90`, `slt-p0.90-r1.10`; `Voice.parse` reads it back (factors to two places)."""
        pitch = "" if self.pitch == 1.0 else f"-p{self.pitch:.2f}"
        rate = "" if self.rate == 1.0 else f"-r{self.rate:.2f}"
        return self.speaker + pitch + rate

    @classmethod
    def parse(cls, name: str) -> Voice:
        """The voice called `name`; ValueError if it is not written as `Voice.name` writes it."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name!r} is not a voice name such as 'slt-p0.90-r1.10'")
        return cls(found["speaker"], float(found["pitch"] or 1.0), float(found["rate"] or 1.0))


def variants(language: Language, *, speakers: tuple[str, ...] | None = None) -> tuple[Voice, ...]:
    """Every speaker of `language` (or those named) at every pitch and rate: nine voices a speaker."""
    chosen = speakers if speakers is not None else tuple(s for s, (_, of) in SPEAKERS.items() if of == language)
    return tuple(Voice(s, pitch, rate) for s, pitch, rate in product(chosen, PITCHES, RATES))
