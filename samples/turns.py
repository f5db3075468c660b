"""Complete and cut turns: where a clip may be cut, and the ending that both labels share.

Knows no files and no plan: plan.py says which text in which voice becomes which label.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from samples.sound import Samples, ended, speech_end_s
from samples.word import Word

LEAD_S: Final = 0.1
"""Silence kept before the first word."""
TAIL_S: Final = 0.2
EARLIEST_CUT_S: Final = 1.2
LATEST_CUT_SHARE: Final = 0.75

UNFINISHED: Final = frozenset(
    (
        *("a", "an", "the", "my", "your", "our", "their", "every", "very"),
        *("of", "to", "for", "with", "from", "at", "by"),
        *("and", "or", "but", "because", "if", "than", "as"),
    )
)
"""Words that leave a sentence open: nobody has finished speaking right after one of them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A finished clip, mono; times in seconds from its first sample. `text` is what can be heard."""

    samples: Samples
    words: tuple[Word, ...]
    text: str
    speech_end_s: float


def complete(samples: Samples, words: tuple[Word, ...], text: str, *, sample_rate_hz: int) -> Turn:
    """The whole text, ended where its sound ends."""
    samples, words = _without_lead(samples, words, sample_rate_hz=sample_rate_hz)
    end_s = speech_end_s(samples, sample_rate_hz=sample_rate_hz)
    clip = ended(samples, at_s=end_s, silence_s=TAIL_S, sample_rate_hz=sample_rate_hz)
    return Turn(clip, _until(words, end_s), text, end_s)


def cut(samples: Samples, words: tuple[Word, ...], text: str, *, sample_rate_hz: int) -> Turn | None:
    """The text up to the last word boundary where it is plainly unfinished; None if there is no such place.

    That place lies right after one of UNFINISHED, not before EARLIEST_CUT_S, not after LATEST_CUT_SHARE of the
    whole, and with no pause behind it.
    """
    samples, words = _without_lead(samples, words, sample_rate_hz=sample_rate_hz)
    latest_s = LATEST_CUT_SHARE * words[-1].end_s
    places = [
        index
        for index, (word, after) in enumerate(pairwise(words))
        if word.word.lower() in UNFINISHED
        and EARLIEST_CUT_S <= word.end_s < latest_s
        and after.start_s - word.end_s < 0.01
    ]
    if not places:
        return None
    kept = words[: places[-1] + 1]
    end_s = kept[-1].end_s
    clip = ended(samples, at_s=end_s, silence_s=TAIL_S, sample_rate_hz=sample_rate_hz)
    return Turn(clip, kept, " ".join(text.split()[: len(kept)]), end_s)


def _without_lead(
    samples: Samples, words: tuple[Word, ...], *, sample_rate_hz: int
) -> tuple[Samples, tuple[Word, ...]]:
    dropped = max(0, round((words[0].start_s - LEAD_S) * sample_rate_hz))
    shift_s = dropped / sample_rate_hz
    moved = (Word(w.word, round(w.start_s - shift_s, 4), round(w.end_s - shift_s, 4)) for w in words)
    return samples[dropped:], tuple(moved)


def _until(words: tuple[Word, ...], end_s: float) -> tuple[Word, ...]:
    """Word times of a clip whose sound ends at `end_s`: a last word may fade before its segment ends."""
    last = words[-1]
    return (*words[:-1], Word(last.word, last.start_s, round(min(last.end_s, end_s), 4)))
