"""The utterance's text as it is told: deltas of several requests as those of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from servers.voxtral.interfaces import Done, Listener
from servers.voxtral.speech.joint import Piece, Seam
from servers.voxtral.speech.segment import Segment
from servers.voxtral.speech.words import Words, is_unspaced, space_between

KEPT_WORDS: Final = 256
"""More than a minute of speech: no request hears so much again."""
NO_USAGE: Final[Mapping[str, Any]] = {
    "prompt_tokens": 0,
    "total_tokens": 0,
    "completion_tokens": 0,
    "prompt_tokens_details": None,
    "completion_tokens_details": None,
}
"""As vLLM answers an utterance without audio."""


class Telling:
    """A delta for each step, with or without text: a client's clock runs on over the seams. There a step may be told
    without its text, which then comes with a later one."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._pieces: list[str] = []
        self._words = Words(KEPT_WORDS)
        self._step = 0
        self._seam: Seam | None = None
        self._is_fresh = False
        """Nothing was told yet of a request that follows another one."""
        self._completes = False
        self._ended: list[Done] = []

    def begin(self, segment: Segment) -> None:
        """What comes from now on is that one's."""
        self._completes = True
        if segment.after is not None:
            is_torn = segment.after == "truncation"
            self._seam = Seam(self._words, heard_from=segment.first_step, torn=is_torn)
            self._is_fresh = True

    def hear(self, segment: Segment, text: str) -> None:
        """The delta of the segment's newest step."""
        step = segment.step
        if segment.full_steps is not None and segment.answered_steps > segment.full_steps:
            text = self._end_of_word(text)
        if segment.end_step is not None and step > segment.end_step:
            step = segment.end_step  # it hears padding: what it says now was before
        if self._seam is None:
            if text and self._is_fresh:
                text, self._is_fresh = space_between(self._words.end, text) + text, False
            self._tell(step, [(text, step)] if text else [])
            return
        found = self._seam.add(step, text)
        if found is not None:
            self._seam, self._is_fresh = None, not found
        self._tell(step, found or [])

    def end(self, done: Done) -> None:
        """Of a segment; what it said was told, and what was still in doubt is now."""
        self._ended.append(done)
        self.settle()

    def settle(self) -> None:
        """Nothing more comes that could help to join."""
        if self._seam is not None:
            pieces, self._seam = self._seam.settle(), None
            self._is_fresh = not pieces
            self._tell(self._step, pieces)

    def result(self) -> Done:
        """The whole: of one request what the engine said of it, of several their deltas and the sum of their counts."""
        if len(self._ended) == 1:
            return self._ended[0]
        return Done("".join(self._pieces), summed([done.usage for done in self._ended]))

    def abandon(self) -> None:
        """A segment ended without a Done: the text is no longer that of one request."""
        self.settle()
        self._ended.append(Done("", NO_USAGE))

    def _tell(self, step: int, pieces: list[Piece]) -> None:
        """All of them in one delta; without any an empty one, if the step was not told yet."""
        if not pieces and step <= self._step:
            return
        self._step, told = max(self._step, step), ""
        for text, said in pieces:
            self._pieces.append(text)
            self._words.add(text, said)
            told += text
        self._listener.heard(told)

    def _end_of_word(self, text: str) -> str:
        """Of text that was said of cut off audio: the rest of a word that has been begun."""
        if not text or not self._completes:
            return ""
        count = next((n for n, c in enumerate(text) if not c.isalnum() or is_unspaced(c)), len(text))
        self._completes = count == len(text)
        return text[:count]


def summed(usages: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Numbers added up by their names, in maps within maps too; of all else the last."""
    total: dict[str, Any] = {}
    for usage in usages:
        for name, value in usage.items():
            before = total.get(name)
            if isinstance(value, Mapping):
                total[name] = summed([before, value] if isinstance(before, Mapping) else [value])
            elif isinstance(value, int | float) and isinstance(before, int | float):
                total[name] = before + value
            elif value is not None or name not in total:
                total[name] = value
    return total
