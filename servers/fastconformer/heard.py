"""What one step of the model brought for one stream, and the text that grows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

WORD_START: Final = "\u2581"
"""SentencePiece's mark of a word's beginning, at the head of a piece."""


@dataclass(frozen=True, slots=True)
class Heard:
    """New tokens of one stream."""

    tokens: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    """For each token the encoder frame that brought it, counted from the stream's start, 80 ms each."""
    text: str = ""
    """The same tokens as text; blanks where words begin, so that a piece joins the one before it or not."""


def text_of(pieces: tuple[str, ...]) -> str:
    """SentencePiece pieces as text that can be appended to what came before them."""
    return "".join(pieces).replace(WORD_START, " ")


@dataclass(slots=True)
class Transcript:
    """The whole text of a stream. Tokens are never taken back: greedy streaming decoding only appends."""

    _parts: list[str] = field(default_factory=list)

    def add(self, heard: Heard) -> bool:
        """Whether the text has changed."""
        if not heard.text:
            return False
        self._parts.append(heard.text)
        return True

    @property
    def text(self) -> str:
        """Without the blank that begins the first word."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0].strip() if self._parts else ""
