"""From tokens, their frames and their probabilities to text, words, sentences and times: NeMo's rules, for less work.

NeMo 3.0.0 does the same in `AbstractRNNTDecoding.compute_rnnt_timestamps` and `parts/utils/timestamp_utils.py`, by
dictionaries per token that it copies, flattens and decodes one by one; here what depends on a token alone is found
once, when the model is loaded. One difference: a word mark that no piece follows is a word without text there, and
none here, as in the text itself. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from servers.parakeet.transcript import Span, Transcript, Word

BARE_MARKS: Final = (" ", "_", "\u2581")
"""Pieces of a word that give way to a punctuation mark behind them."""


@dataclass(frozen=True, slots=True)
class Token:
    """What the decoder brought, and when: `frames` from the encoder frame `frame` on."""

    number: int
    frame: int
    frames: int
    confidence: float


class Speller:
    """One model's vocabulary and rules."""

    def __init__(
        self,
        pieces: Sequence[str],
        *,
        join: Callable[[list[str]], str],
        punctuation: Collection[str],
        frame_s: Callable[[int], float],
        sentence_ends: Collection[str] = (".", "?", "!"),
        gap_frames: int | None = None,
        mends_punctuation: bool = True,
    ) -> None:
        """`join`: the tokenizer's text of pieces. `frame_s`: when an encoder frame begins. `sentence_ends` and
        `gap_frames` (silence between words that ends a sentence, too): the model's decoding configuration.
        `mends_punctuation`: a mark's time is the end of the piece before it, as a TDT model needs."""
        self._pieces, self._join, self._frame_s = tuple(pieces), join, frame_s
        self._texts = tuple(join([piece]) for piece in pieces)
        self._marks = tuple(text in punctuation and text != " " for text in self._texts)
        word_pieces = any(piece.startswith("##") for piece in pieces)
        self._starts = tuple(
            (bool(text) and not text.startswith("##")) if word_pieces else piece != text
            for piece, text in zip(self._pieces, self._texts, strict=True)
        )
        self._sentence_ends, self._gap_frames = tuple(sentence_ends), gap_frames
        self._mends = mends_punctuation
        # NeMo builds the same pattern from a set, and so in any order: each alternative is one character.
        marks = "|".join(re.escape(mark) for mark in sorted(punctuation))
        self._before_mark = re.compile(rf"(\s)({marks})") if marks else None

    def transcript(self, tokens: Sequence[Token], *, before_s: float = 0.0, length_s: float = math.inf) -> Transcript:
        """Tokens of one chunk, in order. `before_s`: silence put before it; no time is below 0 or over `length_s`."""
        spans = self._spans(tokens)
        words = self._words(tokens, spans)

        def at(frame: int) -> float:
            return min(max(self._frame_s(frame) - before_s, 0.0), length_s)

        return Transcript(
            text=self._text(tokens),
            words=tuple(Word(word.text, at(word.start), at(word.end), word.mean) for word in words),
            segments=tuple(Span(" ".join(texts), at(start), at(end)) for texts, start, end in self._sentences(words)),
            chars=tuple(
                Span(self._texts[token.number], at(start), at(end))
                for token, (start, end) in zip(tokens, spans, strict=True)
            ),
        )

    def _text(self, tokens: Sequence[Token]) -> str:
        text = self._join([self._pieces[token.number] for token in tokens])
        return self._before_mark.sub(r"\2", text) if self._before_mark else text

    def _spans(self, tokens: Sequence[Token]) -> list[tuple[int, int]]:
        """First frame of each token and the one behind its last."""
        found: list[tuple[int, int]] = []
        for token in tokens:
            if found and self._mends and self._marks[token.number]:
                found.append((found[-1][1], found[-1][1]))
            else:
                found.append((token.frame, token.frame + token.frames))
        return found

    def _words(self, tokens: Sequence[Token], spans: Sequence[tuple[int, int]]) -> list[_Built]:
        """Pieces put together: a word begins where its first piece says so; marks belong to the word before them."""
        words: list[_Built] = []
        pieces: list[str] = []
        first = 0

        def finish(end: int) -> None:
            chances = [token.confidence for token in tokens[first:end]]
            begin = 0 if not words else first
            text = self._join(pieces)
            words.append(_Built(text, spans[begin][0], spans[end - 1][1], sum(chances), len(chances)))

        for at, token in enumerate(tokens):
            piece, mark = self._pieces[token.number], self._marks[token.number]
            if self._starts[token.number] and not mark:
                if pieces:
                    finish(at)
                pieces, first = [piece], at
            elif mark and pieces:
                pieces = [*(pieces[:-1] if pieces[-1] in BARE_MARKS else pieces), piece]
            else:
                first = first if pieces else at
                pieces.append(piece)
        if pieces:
            finish(len(tokens))
        return [word for word in words if word.text.strip()]

    def _sentences(self, words: Sequence[_Built]) -> list[tuple[list[str], int, int]]:
        """Texts of the words of each, its first frame and the one behind its last."""
        found: list[tuple[list[str], int, int]] = []
        begin = 0

        def finish(end: int) -> None:
            texts = [word.text for word in words[begin:end]]
            found.append((texts, words[begin].start, words[end - 1].end))

        for at, word in enumerate(words):
            if self._gap_frames and at > begin:
                if word.start - words[at - 1].end >= self._gap_frames:
                    finish(at)
                    begin = at
            elif word.text[-1] in self._sentence_ends or word.text in self._sentence_ends:
                finish(at + 1)
                begin = at + 1
        if begin < len(words):
            finish(len(words))
        return found


@dataclass(frozen=True, slots=True)
class _Built:
    """A word; `start` and `end` in encoder frames."""

    text: str
    start: int
    end: int
    total: float
    count: int

    @property
    def mean(self) -> float:
        return self.total / self.count
