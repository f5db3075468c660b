"""Whether a server that runs in this process keeps anything of clients that came and went."""

from __future__ import annotations

import asyncio
import gc
import resource
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path


async def check_nothing_stays(
    cycles: Callable[[], Awaitable[None]], *, loop: asyncio.AbstractEventLoop, kinds: tuple[type, ...]
) -> int:
    """Runs `cycles` twice: no thread and no task of `loop`, the server's, more after the second than after the first,
    and no more things of these kinds than before both. Returns by how many KiB the process grew in the second."""
    kept = count_of(kinds)
    await cycles()
    before = (count_threads(), len(asyncio.all_tasks(loop)), resident_kib())
    await cycles()
    assert count_threads() <= before[0]
    assert len(asyncio.all_tasks(loop)) <= before[1]
    assert count_of(kinds) <= kept
    return resident_kib() - before[2]


def count_of(kinds: tuple[type, ...]) -> int:
    """What of sessions could have been kept by mistake; of earlier tests too, in what pytest remembers of them."""
    gc.collect()
    return sum(type(thing) in kinds for thing in gc.get_objects())  # isinstance fails on dead proxies


def count_threads() -> int:
    """Without those that the test itself asks its questions in."""
    return sum(not thread.name.startswith("asyncio_") for thread in threading.enumerate())


def resident_kib() -> int:
    """Of this process, after a collection."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024
