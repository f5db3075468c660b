"""A request's body as a file without a name: in memory while it is small, and gone however the request ends."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Final, cast

from starlette.requests import ClientDisconnect, Request

from servers.common.errors import BadInput, BodyTimeout, TooLarge
from servers.common.limits import declared_bytes

MEMORY_BYTES: Final = 4_000_000
MIN_BYTES_PER_S: Final = 4000
"""Slower than a telephone: who drips holds a place that others wait for."""


@asynccontextmanager
async def receive(request: Request, *, limit_bytes: int, stall_s: float) -> AsyncIterator[IO[bytes]]:
    """The whole body, at its beginning. Raises TooLarge (by its declared length, else as it comes), BodyTimeout
    (`stall_s` behind MIN_BYTES_PER_S), BadInput (empty) and starlette's ClientDisconnect."""
    _check_size(declared_bytes(request) or 0, limit_bytes)
    with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as spool:
        size, more, begun_s = 0, True, time.monotonic()
        while more:
            left_s = begun_s + stall_s + size / MIN_BYTES_PER_S - time.monotonic()
            portion, more = await _next_portion(request, left_s, stall_s)
            size += len(portion)
            _check_size(size, limit_bytes)
            spool.write(portion)
        if not size:
            raise BadInput("the body is empty", field="body", limit="a file with audio")
        spool.seek(0)
        yield cast(IO[bytes], spool)


async def _next_portion(request: Request, left_s: float, stall_s: float) -> tuple[bytes, bool]:
    """And whether more comes."""
    try:
        async with asyncio.timeout(left_s):
            message = await request.receive()
    except TimeoutError:
        raise BodyTimeout("the body comes too slowly", field="body", limit=f"{stall_s:g} s") from None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        message = "the file is too large (KYUTAI_MAX_UPLOAD_MB)"
        raise TooLarge(message, field="body", limit=f"{limit_bytes / 1e6:g} MB")
