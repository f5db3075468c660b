"""`Pacer`: runs callbacks and wakes coroutines at absolute times, never before them. Linux' timerfd.

Knows no audio, no socket and no schedule. All times are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import heapq
import itertools
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Final

from yapbench.errors import UsageError

SECOND_NS: Final = 1_000_000_000

Callback = Callable[[int], int | None]
"""Called with the present time at or after its own; returns when it wants to be called next, None: never again."""


class Pacer:
    """One timer for everything that a process does on time.

    The event loop's own timers have a grain of 1 ms and may fire early; a timerfd wakes within some 50 us of its
    time. Whatever is due at one waking runs in the order of its due time. Belongs to the event loop that runs when
    it is first used.
    """

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Callback]] = []
        self._numbers = itertools.count()
        self._timer: int | None = None  # file descriptor
        self._armed_ns: int | None = None
        self._ringing = False

    def at(self, due_ns: int, callback: Callback) -> None:
        """Call `callback` from the event loop at or after `due_ns`, never before; a past time means at once.

        The hot path: neither task nor future. Raises UsageError where there is no timerfd.
        """
        if self._timer is None:
            self._timer = self._open()
        heapq.heappush(self._due, (due_ns, next(self._numbers), callback))
        if not self._ringing and (self._armed_ns is None or due_ns < self._armed_ns):
            self._arm(self._timer)

    async def until(self, due_ns: int) -> None:
        """Return at or after `due_ns`, never before; others get a turn also when that is past.

        Works on every system: where there is no timerfd, by the event loop's timers.
        """
        if due_ns <= time.monotonic_ns():
            await asyncio.sleep(0)
            return
        if _has_timerfd():
            future = asyncio.get_running_loop().create_future()
            self.at(due_ns, functools.partial(_wake, future))
            await future
            return
        while True:
            left_ns = due_ns - time.monotonic_ns()
            if left_ns <= 0:
                return
            await asyncio.sleep(left_ns / SECOND_NS)  # it may wake early

    def close(self) -> None:
        """Give the timer back; what is still waiting is forgotten."""
        self._due.clear()
        if self._timer is not None:
            asyncio.get_running_loop().remove_reader(self._timer)
            os.close(self._timer)
            self._timer = self._armed_ns = None

    def _open(self) -> int:
        if not _has_timerfd():
            raise UsageError(f"audio is streamed in real time by timerfd, which {sys.platform} lacks: use Linux")
        timer = new_timer()
        asyncio.get_running_loop().add_reader(timer, self._ring)
        return timer

    def _arm(self, timer: int) -> None:
        self._armed_ns = self._due[0][0] if self._due else None
        # 0 would switch it off. Setting also takes back a ring that nobody has read, so there is nothing to read.
        set_timer(timer, 0 if self._armed_ns is None else max(1, self._armed_ns))

    def _ring(self) -> None:
        """Run what is due now, and only that: an overloaded process must still read what its sockets bring."""
        due, now_ns = self._due, time.monotonic_ns()
        self._ringing = True
        try:
            while due and due[0][0] <= now_ns:
                _, number, callback = heapq.heappop(due)
                next_ns = callback(now_ns)
                if next_ns is not None:
                    heapq.heappush(due, (next_ns, number, callback))
        finally:
            self._ringing = False
            if self._timer is not None:  # a callback may have closed us
                self._arm(self._timer)


def _has_timerfd() -> bool:
    return sys.platform == "linux"


def _wake(future: asyncio.Future[None], now_ns: int) -> None:
    if not future.done():  # it may have been cancelled
        future.set_result(None)


if sys.version_info >= (3, 13):

    def new_timer() -> int:
        """The descriptor of a new timerfd."""
        return os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def set_timer(timer: int, due_ns: int) -> None:
        """Become readable once, at `due_ns`; a time gone by means at once, 0 never."""
        os.timerfd_settime_ns(timer, flags=os.TFD_TIMER_ABSTIME, initial=due_ns)

else:
    _ABSOLUTE_TIME: Final = 1

    @functools.cache
    def _library() -> ctypes.CDLL:
        return ctypes.CDLL(None, use_errno=True)

    def new_timer() -> int:
        """The descriptor of a new timerfd."""
        flags = os.O_NONBLOCK | os.O_CLOEXEC  # the same bits as TFD_NONBLOCK and TFD_CLOEXEC
        return _checked(_library().timerfd_create(time.CLOCK_MONOTONIC, flags))

    def set_timer(timer: int, due_ns: int) -> None:
        """Become readable once, at `due_ns`; a time gone by means at once, 0 never."""
        seconds, nanoseconds = divmod(due_ns, SECOND_NS)
        value = struct.pack("@qqqq", 0, 0, seconds, nanoseconds)  # struct itimerspec; no interval
        _checked(_library().timerfd_settime(timer, _ABSOLUTE_TIME, value, None))

    def _checked(result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), "the kernel refused a timerfd")
        return result
