"""Which text is spoken in which voice for which clip: the list of committed clips, decided by rules and order alone.

Knows no sound: whether a text has a place to cut shows only when it is spoken, so `turns` offers more than needed.
No model's opinion enters: a clip's label says what was done to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from samples.manifest import Kind, Label
from samples.pool import Length, Sentence, paragraphs, sentences, spoken_words
from samples.voices import Voice

TURNS_PER_LABEL: Final = 50

TURN_VOICES: Final = tuple(
    Voice.parse(name)
    for name in (
        "slt", "rms", "slt-p1.12", "rms-p0.90", "slt-r1.10",
        "rms-r1.10", "slt-p0.90", "rms-p1.12", "slt-r0.90", "rms-r0.90",
    )
)  # fmt: skip
"""Taken in turn for both labels. awb and kal16 are left out: their sentence ends hardly differ from their cuts."""

PARAGRAPH_VOICES: Final = tuple(Voice(speaker) for speaker in ("slt", "rms", "awb", "kal16"))
FRENCH_VOICES: Final = tuple(Voice(speaker) for speaker in ("fr", "fr+f2", "fr+m3"))


@dataclass(frozen=True, slots=True)
class Planned:
    """One clip to be made. `seed` goes to `speak` and, with the clip's id, to its faint noise."""

    text: Sentence
    voice: Voice
    seed: int
    kind: Kind
    label: Label | None = None

    @property
    def id(self) -> str:
        parts = (self.kind.value, self.label.value if self.label else "", self.text.id, self.voice.name)
        return "-".join(part for part in parts if part)


def turns(label: Label) -> Iterator[Planned]:
    """Candidates for one label in order of preference; the first TURNS_PER_LABEL that can be made are taken.

    Cut turns come from longer texts than complete ones, so that both labels last about as long.
    """
    voices = len(TURN_VOICES)
    for index, text in enumerate(_spread(_complete_texts() if label is Label.COMPLETE else _cut_texts())):
        # A second seed range for cut turns: no rendition occurs under both labels.
        seed = (100 if label is Label.COMPLETE else 300) + index
        yield Planned(text, TURN_VOICES[index % voices], seed, Kind.TURN, label)


def references() -> Iterator[Planned]:
    """Every paragraph in one voice, and every French sentence."""
    for index, paragraph in enumerate(paragraphs(language="en")):
        yield Planned(paragraph, PARAGRAPH_VOICES[index % len(PARAGRAPH_VOICES)], 0, Kind.PARAGRAPH)
    for index, paragraph in enumerate(paragraphs(language="fr")):
        yield Planned(paragraph, FRENCH_VOICES[index % len(FRENCH_VOICES)], 0, Kind.PARAGRAPH)
    for index, sentence in enumerate(sentences(language="fr")):
        yield Planned(sentence, FRENCH_VOICES[index % len(FRENCH_VOICES)], 0, Kind.EXTRA)


def _complete_texts() -> tuple[Sequence[Sentence], ...]:
    plain = [s for s in sentences(language="en", tiny=False) if len(spoken_words(s.text)) <= 10][::2]
    return sentences(tiny=True)[1::2], plain, paragraphs(language="en", length=Length.SHORT)[::4]


def _cut_texts() -> tuple[Sequence[Sentence], ...]:
    tiny = [s for s in sentences(tiny=True) if len(spoken_words(s.text)) >= 9]
    plain = [s for s in sentences(language="en", tiny=False) if len(spoken_words(s.text)) >= 11]
    long = paragraphs(language="en", length=Length.SHORT) + paragraphs(language="en", length=Length.MEDIUM)[::3]
    return tiny, plain, long


def _spread(groups: tuple[Sequence[Sentence], ...]) -> list[Sentence]:
    """The groups interleaved evenly: any first part of the list holds each group in proportion."""
    places = [
        ((index + 0.5) / len(group), order, text)
        for order, group in enumerate(groups)
        for index, text in enumerate(group)
    ]
    return [text for _, _, text in sorted(places, key=lambda place: place[:2])]
