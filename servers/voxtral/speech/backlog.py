"""Audio that has come and does not yet go on to the engine: bounded in messages, by refusal, and in seconds, by loss.

Counts what waits here only; what lies with the engine is bounded elsewhere, by its answers.
"""

from __future__ import annotations

from collections import deque

from servers.voxtral.faults import WireFault


class Backlog:
    """First in, first out. Bytes are PCM16, whole samples."""

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self._max_messages, self._max_bytes = max_messages, max_bytes
        self._messages: deque[memoryview] = deque()
        self.bytes = 0

    def add(self, pcm: bytes) -> int:
        """Keep a message; the bytes that were dropped for it, the oldest first.

        Raises WireFault inbound_queue_full: then none of the message is kept.
        """
        if len(self._messages) >= self._max_messages:
            raise WireFault(
                "server_at_capacity",
                "inbound_queue_full",
                f"{self._max_messages} messages with audio wait already; this one was not kept",
                limit=self._max_messages,
            )
        self._messages.append(memoryview(pcm))
        self.bytes += len(pcm)
        over = self.bytes - self._max_bytes
        if over <= 0:
            return 0
        self._drop(over)
        return over

    def take(self, max_bytes: int) -> bytes:
        """What waits, up to so many bytes; of a message what does not fit stays, and counts as one still."""
        parts, room = [], max_bytes
        while self._messages and room > 0:
            part = self._cut(room)
            parts.append(part)
            room -= len(part)
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._messages.clear()
        self.bytes = 0

    def _drop(self, count: int) -> None:
        while count > 0:
            count -= len(self._cut(count))

    def _cut(self, max_bytes: int) -> memoryview:
        first = self._messages[0]
        if len(first) <= max_bytes:
            part = self._messages.popleft()
        else:
            part, self._messages[0] = first[:max_bytes], first[max_bytes:]
        self.bytes -= len(part)
        return part
