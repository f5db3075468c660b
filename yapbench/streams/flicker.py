"""How much of what a stream showed was taken back: UPWR, UPSR and normalized erasure. Pure.

Knows the texts that were shown, in order, the final one last; knows no time and no reference.
UPWR and UPSR after Shangguan et al. 2020 (arXiv 2006.01416), NE after Arivazhagan et al. 2020 (arXiv 2004.03643).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz.distance import LCSseq

from yapbench import text


@dataclass(frozen=True)
class Flicker:
    """Counts of one utterance, or the sum of several."""

    final_words: int = 0
    unstable_words: int = 0
    """Words that were shown and then changed or dropped, each showing once."""
    revisions: int = 0
    """Runs of neighbouring unstable words that changed at the same time."""
    erased_words: int = 0
    """Words from the first change on, that is all that a screen would have to write again."""

    @property
    def upwr(self) -> float | None:
        """Unstable words per word of the final; None for an empty final."""
        return self.unstable_words / self.final_words if self.final_words else None

    @property
    def normalized_erasure(self) -> float | None:
        """Erased words per word of the final; None for an empty final. Under 0.2 is called low-revision."""
        return self.erased_words / self.final_words if self.final_words else None


def flicker(shown: Sequence[str | None], *, words: Callable[[str], Sequence[str]] = text.plain_words) -> Flicker:
    """The flicker of the transcripts `shown` for one utterance, the last of them the final one.

    None (a message without a transcript) changes nothing; an empty text takes everything back. `words` cuts a text
    into what is compared: as shown, with case and punctuation.
    """
    texts = [tuple(words(item)) for item in shown if item is not None]
    unstable = revisions = erased = 0
    for before, after in pairwise(texts):
        kept = _common_prefix(before, after)
        if kept == len(before):
            continue
        lost = _lost(before[kept:], after[kept:])
        erased += len(before) - kept
        unstable += len(lost)
        revisions += sum(place - 1 not in lost for place in lost)
    return Flicker(len(texts[-1]) if texts else 0, unstable, revisions, erased)


def _common_prefix(before: Sequence[str], after: Sequence[str]) -> int:
    for place, (old, new) in enumerate(zip(before, after, strict=False)):
        if old != new:
            return place
    return min(len(before), len(after))


def _lost(before: Sequence[str], after: Sequence[str]) -> set[int]:
    """Places in `before` that a longest common subsequence with `after` leaves out.

    A common subsequence, because its length is unique: how many words were lost hangs on no choice.
    """
    return {edit.src_pos for edit in LCSseq.editops(before, after) if edit.tag == "delete"}
