"""The samples of a stream that may still be needed, by their number since its beginning. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from servers.common.interfaces import Audio

SMALLEST: Final = 8192


class Tape:
    """Grows at its end, is cut off at its beginning; its memory follows what it holds."""

    def __init__(self) -> None:
        self._store: Audio = np.empty(SMALLEST, np.float32)
        self._at = 0
        """Where in the store the first sample lies."""
        self.begin = 0
        """Number of the first sample that is kept."""
        self.end = 0
        """One more than the number of the last."""

    def append(self, samples: Audio) -> None:
        """float32 of shape (n,); copied."""
        kept, n = self.end - self.begin, len(samples)
        if self._at + kept + n > len(self._store):
            store: Audio = np.empty(max(SMALLEST, 2 * (kept + n)), np.float32)
            store[:kept] = self._store[self._at : self._at + kept]
            self._store, self._at = store, 0
        self._store[self._at + kept : self._at + kept + n] = samples
        self.end += n

    def copy(self, begin: int, end: int) -> Audio:
        """Samples `begin` to `end`, shape (end - begin,); all of them must be kept."""
        if not self.begin <= begin <= end <= self.end:
            raise IndexError(f"{begin}..{end} of {self.begin}..{self.end}")
        start = self._at + begin - self.begin
        return self._store[start : start + end - begin].copy()

    def drop(self, until: int) -> None:
        """Forget what is before sample `until`."""
        if until > self.begin:
            self._at += until - self.begin
            self.begin = until
