"""The timer behind idle connections and silent turns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from servers.common.patience import Patience


async def wait_for(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.002)


async def test_it_is_lost_once_and_not_before_its_time() -> None:
    lost: list[float] = []
    patience = Patience(0.05, lambda: lost.append(time.monotonic()))
    began_s = time.monotonic()
    patience.touch()
    await wait_for(lambda: lost)
    await asyncio.sleep(0.15)
    assert len(lost) == 1 and lost[0] - began_s >= 0.05


async def test_a_touch_begins_anew_also_after_it_was_lost() -> None:
    lost: list[int] = []
    patience = Patience(0.02, lambda: lost.append(1))
    for count in (1, 2):
        patience.touch()
        await wait_for(lambda: len(lost) == count)  # noqa: B023 - awaited at once


async def test_nothing_is_lost_while_touched_held_stopped_or_without_a_limit() -> None:
    lost: list[str] = []
    touched, held, stopped, endless = (
        Patience(limit_s, lambda name=name: lost.append(name))  # type: ignore[misc]
        for name, limit_s in (("touched", 0.5), ("held", 0.02), ("stopped", 0.02), ("endless", 0.0))
    )
    for patience in (touched, held, stopped, endless):
        patience.touch()
    held.hold()
    stopped.stop()
    for _ in range(8):
        await asyncio.sleep(0.02)
        touched.touch()
    assert lost == []
    held.resume()
    await wait_for(lambda: lost == ["held"])
    touched.stop()


async def test_a_loop_that_stood_still_reads_first() -> None:
    """What came while nothing ran is seen before anybody is given up."""
    lost: list[int] = []
    patience = Patience(0.05, lambda: lost.append(1))
    patience.touch()
    asyncio.get_running_loop().call_later(0.061, patience.touch)  # due when the loop turns again, as a message is
    time.sleep(0.06)  # noqa: ASYNC251 - the point of it
    await asyncio.sleep(0.03)
    assert lost == []
    patience.stop()
