"""Where a request that hears the end of another one's audio again has something new to say.

Both heard the same audio for a while. What the first one said has been told and stays told; the words of the second are
laid against it, by their letters and by their time, so that each told word meets at most one word of the second and as
little as possible disagrees. What the second says behind that is new. Hearings that agree in words and steps are joined
without fault whatever the words are, "very very very" included: only that alignment costs nothing. Where they disagree,
a word is lost or doubled at most where the cheapest alignment is wrong.

The rule is an alignment by dynamic programming with free ends, as in R. Wagner and M. Fischer, "The String-to-String
Correction Problem" (1974), with costs in place of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from servers.voxtral.speech.words import Word, Words, folded, space_between

SETTLE_STEPS: Final = 6
"""A word of the second hearing that begins later than this behind the last told one cannot be that one."""
WARM_STEPS: Final = 6
"""What the second hearing says so shortly behind its beginning may be half a word, and it may have missed one."""
WORD_ENDS_STEPS: Final = 6
"""A word that has not grown for so long is complete."""
LOOK_BACK_STEPS: Final = 12

STEP_COST: Final = 0.25
"""Per step between two hearings of one word."""
OTHER_COST: Final = 1.0
"""Two words of one time that differ."""
MISSED_COST: Final = 1.5
"""A told word that the second hearing lacks, or the other way round."""
WARM_COST: Final = 0.3
LATE_COST: Final = 0.6
"""A word that is new though it began before the last told one, beside its steps."""


Piece = tuple[str, int]
"""A text, and the step that it came with."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """`index`: the first new word of the second hearing. `ends_the_last`: the one before is the last told word."""

    index: int
    ends_the_last: bool


def meet(told: Sequence[Word], head: Sequence[Word], *, heard_from: int, torn: bool) -> Meeting:
    """`told` and `head` overlap in time from step `heard_from` on. `torn`: the last told word may lack its end.

    Takes time and memory by the product of their lengths, which are those of a few seconds.
    """
    if not told:
        return Meeting(0, False)
    last = told[-1]
    new = [0.0] * (len(head) + 1)
    for k in range(len(head) - 1, -1, -1):
        late = last.step - head[k].step
        new[k] = new[k + 1] + (LATE_COST + STEP_COST * late if late >= 0 else 0.0)
    row = [0.0]
    for word in head:
        row.append(row[-1] + _skip_cost(word, last.step, heard_from))
    ends: list[bool] = []
    for number, a in enumerate(told, 1):
        drop = 0.0 if a.step <= heard_from + WARM_STEPS else MISSED_COST
        above, row, ends = row, [row[0] + drop], [False]
        for k, b in enumerate(head):
            same = above[k] + _pair_cost(a, b, torn=torn and number == len(told))
            best = min(same, above[k + 1] + drop, row[k] + _skip_cost(b, last.step, heard_from))
            row.append(best)
            ends.append(best == same)
    index = min(range(len(head) + 1), key=lambda k: (row[k] + new[k], -k))
    return Meeting(index, ends[index] and _is_end_of(last, head[index - 1], torn=torn))


def _pair_cost(a: Word, b: Word, *, torn: bool) -> float:
    apart = STEP_COST * abs(a.step - b.step)
    if a.key == b.key:
        return apart
    if torn and b.key.startswith(a.key):
        return apart + WARM_COST / 3
    return apart + OTHER_COST


def _skip_cost(b: Word, last_step: int, heard_from: int) -> float:
    cost = WARM_COST if b.step <= heard_from + WARM_STEPS else MISSED_COST
    return cost + 2 * STEP_COST * max(0, b.step - last_step)


def _is_end_of(told: Word, again: Word, *, torn: bool) -> bool:
    return again.key == told.key or (torn and bool(told.key) and again.key.startswith(told.key))


def rest_of(told: Word, again: Word) -> str:
    """What a second hearing of a word has behind the letters told of it; nothing where it was told with a mark."""
    if told.marks:
        return ""
    left = len(told.key)
    for at, char in enumerate(again.text):
        if left <= 0 and not char.isspace():
            return again.text[at:]
        left -= len(folded(char))
    return ""


class Seam:
    """Collects what the second hearing says first, until it is plain what of it is new."""

    def __init__(self, told: Words, *, heard_from: int, torn: bool = False) -> None:
        """`heard_from`: the step where the second hearing's audio begins. `told` is not kept."""
        self._told = [Word(w.text, w.step, w.last_step) for w in told.since(heard_from - LOOK_BACK_STEPS)]
        self._before = told.end
        self._heard_from, self._torn = heard_from, torn
        self._until = (self._told[-1].step if self._told else heard_from) + SETTLE_STEPS
        self._words = Words()

    def add(self, step: int, text: str) -> list[Piece] | None:
        """One step's text of the second hearing; what is to be told, None as long as that is not known."""
        if text:
            self._words.add(text, step)
        last = self._words.last
        if last is not None and self._is_last_told(last):
            return self.settle()
        may_grow = last is not None and last.step <= self._until and step < last.last_step + WORD_ENDS_STEPS
        return None if step <= self._until or may_grow else self.settle()

    def settle(self) -> list[Piece]:
        """What is new, by what is known now."""
        words = self._words.since(0)
        head = [word for word in words if word.step <= self._until]
        found = meet(self._told, head, heard_from=self._heard_from, torn=self._torn)
        pieces = []
        if found.ends_the_last and (rest := rest_of(self._told[-1], head[found.index - 1])):
            pieces.append((rest, self._told[-1].step))
        new = [(word.text, word.step) for word in words[found.index :]]
        if new and not pieces:
            text, step = new[0]
            new[0] = space_between(self._before, text) + text, step
        pieces += new
        if self._words.space:
            pieces.append((self._words.space, self._words.last_step))
        return pieces

    def _is_last_told(self, word: Word) -> bool:
        """The same letters in the same step: no need to wait for more."""
        last = self._told[-1] if self._told and not self._torn else None
        return last is not None and word.step == last.step and word.key == last.key != ""
