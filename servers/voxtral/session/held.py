"""What waits for the running utterance to end: starts with their audio, and audio that no start has claimed yet.

Bounded as a running utterance's audio is: in messages, and in seconds. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from servers.voxtral.faults import WireFault


@dataclass(slots=True)
class Waiting:
    """An utterance to come; without a start it is audio that belongs to whichever is started next."""

    request_id: str | None = None
    is_started: bool = False
    is_finished: bool = False
    pieces: deque[bytes] = field(default_factory=deque)

    @property
    def pcm(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def messages(self) -> int:
        """What it counts for."""
        return len(self.pieces) + self.is_started


class Held:
    """In the order of their starts; only the last one still takes audio."""

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        """`max_bytes` is even."""
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._waiting: deque[Waiting] = deque()
        self._messages = 0
        self.size_bytes = 0

    def __iter__(self) -> Iterator[Waiting]:
        """The started ones, oldest first."""
        return (one for one in self._waiting if one.is_started)

    @property
    def open(self) -> Waiting | None:
        """The one that was started and not finished."""
        last = self._waiting[-1] if self._waiting else None
        return last if last is not None and last.is_started and not last.is_finished else None

    def append(self, pcm: bytes) -> int:
        """Audio for the one that is open, else for the next start. Returns how many bytes of the oldest audio had to
        go. Raises WireFault inbound_queue_full: then nothing has changed."""
        self._count()
        if not self._waiting or self._waiting[-1].is_finished:
            self._waiting.append(Waiting())
        self._waiting[-1].pieces.append(pcm)
        self.size_bytes += len(pcm)
        return self._drop_oldest()

    def start(self, request_id: str | None) -> None:
        """Nothing is open. Raises as `append` does."""
        self._count()
        if not self._waiting or self._waiting[-1].is_finished:
            self._waiting.append(Waiting())
        self._waiting[-1].request_id, self._waiting[-1].is_started = request_id, True

    def take(self) -> Waiting | None:
        """The first that was started, if any."""
        first = next(iter(self), None)
        if first is not None:
            self.remove(first)
        return first

    def take_loose(self) -> bytes:
        """The audio that no start has claimed; nothing is open."""
        if not self._waiting or self._waiting[-1].is_started:
            return b""
        loose = self._waiting[-1]
        self.remove(loose)
        return loose.pcm

    def remove(self, waiting: Waiting) -> None:
        """With its audio."""
        self._waiting.remove(waiting)
        self._messages -= waiting.messages
        self.size_bytes -= sum(map(len, waiting.pieces))

    def clear(self) -> None:
        self._waiting.clear()
        self._messages = self.size_bytes = 0

    def _count(self) -> None:
        if self._messages >= self._max_messages:
            raise inbound_queue_full(self._max_messages)
        self._messages += 1

    def _drop_oldest(self) -> int:
        excess = dropped = max(0, self.size_bytes - self._max_bytes)
        for waiting in self._waiting:
            while excess and waiting.pieces:
                piece = waiting.pieces.popleft()
                if len(piece) > excess:
                    waiting.pieces.appendleft(piece[excess:])
                    excess = 0
                else:
                    excess -= len(piece)
                    self._messages -= 1
        self.size_bytes -= dropped
        return dropped


def inbound_queue_full(limit: int) -> WireFault:
    """Too many messages of a session wait."""
    return WireFault(
        "server_at_capacity",
        "inbound_queue_full",
        f"{limit} messages of this session wait already; this one is not kept",
        limit=limit,
    )
