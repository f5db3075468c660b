"""Joins what was heard in the pieces of a file. Pure.

Pieces cut at a pause are put one behind the other. Where two pieces overlap, both have heard the same words:

1. A word at the cut edge of its piece may be half a word. It is left out where the other piece has something at that
   time: there the word is whole, because the overlap is longer than a word.
2. Words that both have are paired, in their order, by text and time.
3. The first piece is followed up to the pair nearest the middle of the overlap, the second from there on: each word
   comes from the piece that has heard more around it, and none comes twice.
4. Without any pair there is nothing that both have heard, and all is kept but what the other has at the same time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from servers.parakeet.transcript import Span, SpanT, Transcript, Word

FRAME_S: Final = 0.08
"""Models place words no better than to a frame."""
EDGE_S: Final = 0.12
"""A word that comes so near to the edge of its piece may be cut off."""
NEAR_S: Final = 0.2
"""The same word in two pieces begins at most so far apart."""
SHORTEST_S: Final = 0.04
ROUNDING_S: Final = 0.001
_OF_A_WORD: Final = re.compile(r"[^\w']+")


@dataclass(frozen=True, slots=True)
class Overlap:
    """Seconds of the file that two pieces have heard: the second begins at `start_s`, the first ends at `end_s`."""

    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def seam(left: Transcript, right: Transcript, overlap: Overlap) -> tuple[Transcript, Transcript]:
    """Both, in the file's time, with each word of the overlap in one of them only."""
    first = [at for at, word in enumerate(left.words) if word.end_s > overlap.start_s]
    second = [at for at, word in enumerate(right.words) if word.start_s < overlap.end_s]
    mine, theirs = [left.words[at] for at in first], [right.words[at] for at in second]
    begin, end = len(left.words) - len(first), len(second)
    kept = [word for word in mine if word.end_s < overlap.end_s - EDGE_S or not _covered(word, theirs, FRAME_S)]
    whole = [word for word in theirs if word.start_s > overlap.start_s + EDGE_S or not _covered(word, kept, FRAME_S)]
    kept, whole = _meet(kept, whole, overlap.middle_s)
    return (
        _only(left, (*left.words[:begin], *kept)),
        _only(right, (*whole, *right.words[end:])),
    )


def concatenate(parts: Sequence[Transcript]) -> Transcript:
    """One behind the other."""
    return Transcript(
        text=" ".join(part.text for part in parts if part.text),
        words=tuple(word for part in parts for word in part.words),
        segments=tuple(segment for part in parts for segment in part.segments),
        chars=tuple(char for part in parts for char in part.chars),
    )


def _meet(left: list[Word], right: list[Word], middle_s: float) -> tuple[list[Word], list[Word]]:
    pairs = _pairs(left, right)
    if pairs:
        mine, theirs = min(pairs, key=lambda pair: abs(_middle(left[pair[0]]) - middle_s))
        return left[: mine + 1], right[theirs + 1 :]
    kept = [word for word in left if _middle(word) < middle_s or not _covered(word, right)]
    return kept, [word for word in right if not _covered(word, kept)]


def _pairs(left: list[Word], right: list[Word]) -> list[tuple[int, int]]:
    """Words of the same text in the same order, so that the sum of their nearness is greatest (1 for the same time, 0
    at NEAR_S): of "no no no" the right ones find each other. Quadratic: an overlap has a few words."""
    best: list[list[tuple[float, list[tuple[int, int]]]]]
    best = [[(0.0, []) for _ in range(len(right) + 1)] for _ in range(len(left) + 1)]
    for mine in range(len(left) - 1, -1, -1):
        for theirs in range(len(right) - 1, -1, -1):
            choices = [best[mine + 1][theirs], best[mine][theirs + 1]]
            nearness = 1 - abs(left[mine].start_s - right[theirs].start_s) / NEAR_S
            if nearness > 0 and _spelt(left[mine]) == _spelt(right[theirs]):
                total, after = best[mine + 1][theirs + 1]
                choices.append((total + nearness, [(mine, theirs), *after]))
            best[mine][theirs] = max(choices, key=lambda choice: choice[0])
    return best[0][0][1]


def _covered(word: Word, others: Sequence[Word], slack_s: float = 0.0) -> bool:
    """Whether one of the others is spoken in the same time, at least for half of the shorter one."""
    return any(_shared_s(word, other) + slack_s >= 0.5 * min(_length_s(word), _length_s(other)) for other in others)


def _shared_s(word: Word, other: Word) -> float:
    end_s = min(word.start_s + _length_s(word), other.start_s + _length_s(other))
    return end_s - max(word.start_s, other.start_s)


def _length_s(word: Word) -> float:
    """A model may give a word no time at all."""
    return max(word.end_s - word.start_s, SHORTEST_S)


def _only(transcript: Transcript, words: tuple[Word, ...]) -> Transcript:
    """What is left of a transcript when only some of its words, in their order, are kept."""
    if len(words) == len(transcript.words):
        return transcript
    kept = {id(word) for word in words}
    chars = tuple(
        char
        for char, owner in zip(transcript.chars, _owners(transcript.chars, transcript.words), strict=True)
        if id(owner) in kept
    )
    of_segment: dict[int, list[Word]] = {}
    for word, segment in zip(words, _owners(words, transcript.segments), strict=True):
        of_segment.setdefault(id(segment), []).append(word)
    segments = tuple(
        replace(segment, text=_text(said), start_s=said[0].start_s, end_s=said[-1].end_s)
        for segment in transcript.segments
        if (said := of_segment.get(id(segment)))
    )
    return Transcript(_text(words), words, segments, chars)


def _owners(parts: Sequence[Span], wholes: Sequence[SpanT]) -> list[SpanT | None]:
    """For each part the last whole that begins no later: a word begins where its first piece does."""
    starts = [whole.start_s - ROUNDING_S for whole in wholes]
    return [wholes[max(bisect_right(starts, part.start_s) - 1, 0)] if wholes else None for part in parts]


def _middle(span: Span) -> float:
    return (span.start_s + span.end_s) / 2


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _spelt(word: Word) -> str:
    """Without case and punctuation: the end of a sentence is heard differently at a cut."""
    return _OF_A_WORD.sub("", word.text.casefold()) or word.text
