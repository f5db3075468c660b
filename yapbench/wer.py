"""Word and character errors of one transcript against its reference: counts, the alignment itself, and their names.

Pure. Knows texts; knows neither time nor load. Pooling and intervals are stream_measures.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import jiwer

from yapbench import text

Kind = Literal["equal", "substitute", "delete", "insert"]


@dataclass(frozen=True)
class Edit:
    """A stretch of an alignment: reference[ref_start:ref_end] became hypothesis[hyp_start:hyp_end]."""

    kind: Kind
    ref_start: int
    ref_end: int
    hyp_start: int
    hyp_end: int


@dataclass(frozen=True)
class Errors:
    """Counts of one alignment, or the sum of several."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def reference(self) -> int:
        """Words (or characters) of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis(self) -> int:
        """Words (or characters) of what was recognised."""
        return self.hits + self.substitutions + self.insertions

    @property
    def total(self) -> int:
        """S + D + I."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors per word of the reference; None for an empty reference."""
        return self.total / self.reference if self.reference else None

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


@dataclass(frozen=True)
class Alignment:
    """Two sequences and the cheapest way from one to the other, for counting and for showing."""

    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]
    edits: tuple[Edit, ...]

    @property
    def errors(self) -> Errors:
        """The counts of this alignment."""
        lengths: Counter[str] = Counter()
        for edit in self.edits:
            lengths[edit.kind] += max(edit.ref_end - edit.ref_start, edit.hyp_end - edit.hyp_start)
        return Errors(lengths["equal"], lengths["substitute"], lengths["delete"], lengths["insert"])


@dataclass(frozen=True)
class Score:
    """One transcript against its reference, normalised and raw."""

    norm: str
    """`text.norm_version` of the normalised numbers."""
    words: Alignment
    """Normalised words."""
    characters: Errors
    """Normalised, spaces between words included."""
    raw_words: Errors
    raw_characters: Errors
    unordered: int
    """Normalised word errors that are left when the words may stand in any order (`unordered_errors`)."""

    @property
    def has_reference(self) -> bool:
        """Something was said: it takes part in WER. Otherwise all that was recognised is made up."""
        return bool(self.words.reference)

    @property
    def is_empty(self) -> bool:
        """Nothing was recognised."""
        return not self.words.hypothesis


def score(reference: str, hypothesis: str | None, *, language: str | None) -> Score:
    """`hypothesis` against `reference`; None (no transcript) counts as an empty one: all words deleted."""
    aligned = align(text.words(reference, language), text.words(hypothesis, language))
    raw_reference, raw_hypothesis = text.plain_words(reference), text.plain_words(hypothesis)
    return Score(
        norm=text.norm_version(language),
        words=aligned,
        characters=_character_errors(aligned.reference, aligned.hypothesis),
        raw_words=align(raw_reference, raw_hypothesis).errors,
        raw_characters=_character_errors(raw_reference, raw_hypothesis),
        unordered=unordered_errors(aligned.reference, aligned.hypothesis),
    )


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> Alignment:
    """The Levenshtein alignment of two word sequences; no word may hold white space."""
    if not reference:  # jiwer knows no empty reference: here everything is an insertion
        made_up = (Edit("insert", 0, 0, 0, len(hypothesis)),) if hypothesis else ()
        return Alignment((), tuple(hypothesis), made_up)
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    edits = tuple(
        Edit(cast(Kind, chunk.type), chunk.ref_start_idx, chunk.ref_end_idx, chunk.hyp_start_idx, chunk.hyp_end_idx)
        for chunk in found.alignments[0]
    )
    return Alignment(tuple(reference), tuple(hypothesis), edits)


def unordered_errors(reference: Iterable[str], hypothesis: Iterable[str]) -> int:
    """Errors that no reordering of the words takes away: the longer length less the words they share; <= S + D + I."""
    said, heard = Counter(reference), Counter(hypothesis)
    return max(said.total(), heard.total()) - (said & heard).total()


def pooled(errors: Iterable[Errors]) -> Errors:
    """The sum over utterances; its `rate` is the corpus' WER or CER."""
    return sum(errors, Errors())


def _character_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> Errors:
    said, heard = " ".join(reference), " ".join(hypothesis)
    if not said:
        return Errors(insertions=len(heard))
    found = jiwer.process_characters(said, heard)
    return Errors(found.hits, found.substitutions, found.deletions, found.insertions)
