"""From the model's tokens to words and their times, by moshi-core's rules; pure.

Source: https://github.com/kyutai-labs/moshi, rust/moshi-core/src/asr.rs. Each Word is moshi's, also its start. Beyond
moshi's, each Word has its EndWord, also where the next word begins without a boundary or the stream ends, and the last
word is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from servers.kyutai.events import EndWord, Word

FRAMES_A_SECOND = 12.5


class Words:
    """The words of one stream: `add` the token of each of its steps, `finish` at its end."""

    def __init__(
        self,
        *,
        delay_steps: int,
        padding: int,
        boundary: int,
        text_of: Callable[[Sequence[int]], str],
        time_of: Callable[[int], float] = lambda frames: frames / FRAMES_A_SECOND,
    ) -> None:
        """As in interfaces.Listener. `time_of` says at how many seconds of the client's audio so many frames end."""
        self._delay_steps, self._padding, self._boundary = delay_steps, padding, boundary
        self._text_of, self._time_of = text_of, time_of
        self._steps = 0
        self._tokens: list[int] = []
        self._is_open = False
        self._boundary_s = 0.0

    @property
    def is_pending(self) -> bool:
        """Part of a word was heard that is not told yet."""
        return bool(self._tokens)

    def add(self, token: int) -> list[Word | EndWord]:
        """What the token of the next step brings."""
        self._steps += 1
        if self._frames < 0:
            return []
        told: list[Word | EndWord] = []
        if token not in (self._padding, self._boundary):
            told += self._end()
            self._tokens.append(token)
            return told
        told += self._word()
        if token == self._boundary:
            told += self._end()
            self._boundary_s = self._time_of(self._frames)
        return told

    def finish(self) -> list[Word | EndWord]:
        """What is still owed: the word that was begun, the end of the one that was told."""
        return [*self._word(), *self._end()]

    @property
    def _frames(self) -> int:
        """moshi's n - D, where n counts the model's steps, the first of which hears no frame, and D the delay.

        With early timing that step is made before the first frame: n = steps + 1, D = delay_steps. With moshi's it is
        made with it: n = steps, D = delay_steps - 1. So the same word has the same times with both.
        """
        return self._steps + 1 - self._delay_steps

    def _word(self) -> list[Word | EndWord]:
        if not self._tokens:
            return []
        tokens, self._tokens, self._is_open = self._tokens, [], True
        return [Word(self._text_of(tokens), self._boundary_s)]

    def _end(self) -> list[Word | EndWord]:
        if not self._is_open:
            return []
        self._is_open = False
        return [EndWord(self._time_of(self._frames))]
