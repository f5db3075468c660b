"""What was said, when, and how sure the model is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text and when it was spoken, in seconds of the audio it is of."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Word(Span):
    """`confidence` is the mean over the word's pieces of the probability that the model gave each, in [0, 1]."""

    confidence: float


SpanT = TypeVar("SpanT", bound=Span)


@dataclass(frozen=True, slots=True)
class Transcript:
    """One chunk's, or one file's."""

    text: str = ""
    words: tuple[Word, ...] = ()
    segments: tuple[Span, ...] = ()
    """Sentences, as far as the model writes punctuation."""
    chars: tuple[Span, ...] = ()
    """The model's pieces."""

    @property
    def confidence(self) -> float:
        """Mean of the words', in [0, 1]; 0 where there is no word."""
        return sum(word.confidence for word in self.words) / len(self.words) if self.words else 0.0

    def shifted(self, by_s: float) -> Transcript:
        """The same, heard `by_s` seconds later."""
        return replace(
            self, words=_moved(self.words, by_s), segments=_moved(self.segments, by_s), chars=_moved(self.chars, by_s)
        )


def _moved(spans: Sequence[SpanT], by_s: float) -> tuple[SpanT, ...]:
    return tuple(replace(span, start_s=span.start_s + by_s, end_s=span.end_s + by_s) for span in spans)
