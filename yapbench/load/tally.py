"""What the load processes of one run count together, and where they wait for each other.

Knows numbers, processes and the clock; does not know what is sent. A single process counts in its own memory, several
in a file that each of them maps: nobody has to be asked, and the same rules hold for both.
"""

from __future__ import annotations

import mmap
import os
import time
from enum import IntEnum
from pathlib import Path
from typing import Final

from yapbench.pacing.timer import Pacer

LOOK_NS: Final = 5_000_000
"""How often a process looks at what the others have done."""
_LEAD_NS: Final = 20_000_000  # from the last one's arrival to the start: everybody has looked by then


class Slot(IntEnum):
    """What is counted. Behind these: start and end of the counted requests of each point."""

    POINT = 0  # running number, from 1, of the point being measured
    INDEX = 1  # its tickets handed out
    FIRST_NS = 2  # when its first counted request was intended; 0: not yet
    TAKEN = 3  # its counted tickets handed out
    ENDED = 4  # and given back
    COMPLETE = 5  # how many hand out no counted ticket any more
    GONE = 6  # the server is
    ARRIVED = 7  # at meetings, all of them added up
    MEETING = 8  # meetings held
    GO_NS = 9  # when the last of them was over


class Tally:
    """Whole numbers in common. `with tally as numbers:` has them for itself, to read and to write; keep it short.

    `path`: a file made by `prepare`, which every process of the load opens; None: there is no other one. Should a
    process die with the lock, the kernel gives it back.
    """

    def __init__(self, *, points: int, workers: int = 1, path: Path | None = None) -> None:
        self.workers, self._meetings = workers, 0
        self._file: int | None = None
        self._memory: bytearray | mmap.mmap = bytearray(_size(points))
        if path is not None:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            self._memory = mmap.mmap(self._file, _size(points))
        self._numbers = memoryview(self._memory).cast("q")

    @staticmethod
    def prepare(path: Path, *, points: int) -> None:
        """Make the file for a run of so many points."""
        path.write_bytes(bytes(_size(points)))

    def __enter__(self) -> memoryview[int]:
        if self._file is not None:
            import fcntl  # not on Windows, where this module must still import; found again in no time

            fcntl.flock(self._file, fcntl.LOCK_EX)  # half a microsecond with its release, unless somebody is inside
        return self._numbers

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_UN)

    def begin(self, number: int) -> None:
        """Point `number` is measured from now on; who is the first to say so sets its counts to zero."""
        with self as numbers:
            if numbers[Slot.POINT] < number:
                for slot in (Slot.INDEX, Slot.FIRST_NS, Slot.TAKEN, Slot.ENDED, Slot.COMPLETE):
                    numbers[slot] = 0
                numbers[Slot.POINT] = number

    @property
    def begun(self) -> int:
        """How many points have been begun."""
        return self._numbers[Slot.POINT]

    @property
    def gone(self) -> bool:
        """Somebody has found that the server is gone. It stays so."""
        return bool(self._numbers[Slot.GONE])

    def give_up(self) -> None:
        """The server is gone, for everybody."""
        with self as numbers:
            numbers[Slot.GONE] = 1

    def stretch(self, number: int, start_ns: int, end_ns: int) -> None:
        """Counted requests of point `number` lie within these times."""
        at = len(Slot) + 2 * (number - 1)
        with self as numbers:
            first = not numbers[at]
            numbers[at] = start_ns if first else min(numbers[at], start_ns)
            numbers[at + 1] = end_ns if first else max(numbers[at + 1], end_ns)

    def spans(self) -> dict[int, tuple[int, int]]:
        """(start_ns, end_ns) of the points, by number, that have counted requests."""
        with self as numbers:
            both = numbers[len(Slot) :].tolist()
        pairs = zip(both[::2], both[1::2], strict=True)
        return {number: pair for number, pair in enumerate(pairs, start=1) if pair[0]}

    async def meet(self, pacer: Pacer) -> int:
        """Wait for all the others; returns, in ns, the instant from which everybody goes on. Alone: at once."""
        self._meetings += 1
        arrived_ns = time.monotonic_ns()
        with self as numbers:
            numbers[Slot.ARRIVED] += 1
            if numbers[Slot.ARRIVED] == self.workers * self._meetings:
                numbers[Slot.GO_NS] = arrived_ns + (_LEAD_NS if self.workers > 1 else 0)
                numbers[Slot.MEETING] = self._meetings
        while self._numbers[Slot.MEETING] < self._meetings:
            await pacer.until(time.monotonic_ns() + LOOK_NS)
        go_ns = self._numbers[Slot.GO_NS]
        if go_ns > arrived_ns:
            await pacer.until(go_ns)
        return go_ns

    def close(self) -> None:
        """Let go of the file."""
        self._numbers.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _size(points: int) -> int:
    return 8 * (len(Slot) + 2 * points)
