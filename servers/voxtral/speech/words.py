"""Words out of pieces of text, each with the step that its first piece came with.

A word keeps the space before it and the marks behind it, so that words put together are the text again. Scripts that
set no spaces go by characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

UNSPACED: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f\U00020000-\U0003ffff"
"""Kana, Han, Thai."""
_UNSPACED = re.compile(f"[{UNSPACED}]")
_PART = re.compile(rf"\s*[{UNSPACED}]|\s*[^\s{UNSPACED}]+|\s+")
LONGEST_CHARS: Final = 100
"""What goes on for longer without a space is no word; it is cut, so that adding to it costs the same for ever."""


def folded(text: str) -> str:
    """Letters and digits in one case."""
    return "".join(char for char in text.casefold() if char.isalnum())


def is_unspaced(char: str) -> bool:
    """Whether words of this script follow each other without a space."""
    return _UNSPACED.match(char) is not None


@dataclass(slots=True)
class Word:
    """`text` as it came, `step` and `last_step` of its first and its last piece: 80 ms of the utterance each."""

    text: str
    step: int
    last_step: int

    @property
    def key(self) -> str:
        """What two hearings of one word have in common."""
        return folded(self.text)

    @property
    def marks(self) -> str:
        """What stands behind its last letter."""
        count = next((n for n, char in enumerate(reversed(self.text)) if char.isalnum()), len(self.text))
        return self.text[len(self.text) - count :]


class Words:
    """In order; with `keep`, only the last ones."""

    def __init__(self, keep: int | None = None) -> None:
        self._keep = keep
        self._words: list[Word] = []
        self._space = ""
        self.last_step = 0
        """Of the last piece."""

    def __len__(self) -> int:
        return len(self._words)

    @property
    def last(self) -> Word | None:
        """May still grow."""
        return self._words[-1] if self._words else None

    def since(self, step: int) -> list[Word]:
        """Those that began there or later."""
        return [word for word in self._words if word.step >= step]

    def add(self, text: str, step: int) -> None:
        """The next piece: of a word, or of several."""
        self.last_step = step
        for part in _PART.findall(text):
            if part[0].isspace():
                self._close(step)
            part, self._space = self._space + part, ""
            if part[0].isspace() and not folded(part):
                self._space = part  # of the next word, if that follows without a space
            elif self._begins(part):
                self._words.append(Word(part, step, step))
            else:
                self._words[-1].text += part
                self._words[-1].last_step = step
        if self._keep is not None and len(self._words) > 2 * self._keep:
            del self._words[: -self._keep]

    @property
    def space(self) -> str:
        """Came behind the last word, with marks that may belong to the next."""
        return self._space

    @property
    def end(self) -> str:
        """The last word, and the space behind it."""
        return (self._words[-1].text if self._words else "") + self._space

    def _close(self, step: int) -> None:
        """Marks that stand between spaces belong to the word before them."""
        if self._space.strip():
            if self._words:
                self._words[-1].text += self._space
            else:
                self._words.append(Word(self._space, step, step))
            self._space = ""

    def _begins(self, part: str) -> bool:
        if not self._words or part[0].isspace():
            return True
        before = self._words[-1].text
        if len(before) >= LONGEST_CHARS:
            return True
        return is_unspaced(part[0]) or (is_unspaced(before[-1]) and part[0].isalnum())


def space_between(before: str, after: str) -> str:
    """A space where two texts of two requests meet and neither brought one."""
    if not before or not after or before[-1].isspace() or not (after[0].isalnum() or after[0] in "¿¡"):
        return ""
    return "" if is_unspaced(after[0]) or is_unspaced(before[-1]) else " "
