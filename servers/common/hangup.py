"""HTTP clients that hang up before their answer is there: what was done for them is withdrawn."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """What `work` returns; cancels it and raises ClientDisconnect when the client hangs up first.

    The request's body has been read: whatever comes from the client now is dropped.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.create_task(_cancel_when_gone(request, task))
    try:
        return await task
    except asyncio.CancelledError:
        if watch.done():
            raise ClientDisconnect from None
        raise
    finally:
        watch.cancel()
        task.cancel()


async def _cancel_when_gone(request: Request, task: asyncio.Future[T]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    task.cancel()
