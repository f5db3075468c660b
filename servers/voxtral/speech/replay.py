"""The last audio that went to the engine, kept because a new request may have to hear it again."""

from __future__ import annotations

from collections import deque


class Replay:
    """Pieces by their place in the utterance, in bytes from its beginning."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self.start = self.end = 0

    def add(self, pcm: bytes) -> None:
        """The next audio."""
        self._pieces.append(pcm)
        self.end += len(pcm)

    def forget_before(self, place: int) -> None:
        """What lies before will not be asked for; goes by whole pieces."""
        while self._pieces and self.start + len(self._pieces[0]) <= place:
            self.start += len(self._pieces.popleft())

    def since(self, place: int) -> deque[bytes]:
        """All from there on; `place` must not be before `start`."""
        assert self.start <= place <= self.end
        found: deque[bytes] = deque()
        at = self.start
        for piece in self._pieces:
            if at + len(piece) > place:
                found.append(piece[max(0, place - at) :])
            at += len(piece)
        return found


def take_first(pieces: deque[bytes], max_bytes: int) -> bytes:
    """The first piece, or as much of it as that; the rest stays."""
    piece = pieces.popleft()
    if len(piece) > max_bytes:
        pieces.appendleft(piece[max_bytes:])
    return piece[:max_bytes]
