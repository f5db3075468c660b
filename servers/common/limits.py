"""How much a client may send and how much may run at once; both are refused early, with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import Request

from servers.common.errors import BadInput, BodyTimeout, Overloaded, TooLarge

LENGTH_DIGITS: Final = 18
"""Of a Content-Length: an exabyte."""


async def read_body(request: Request, *, limit_bytes: int, timeout_s: float = 30.0) -> bytes:
    """The whole body, at most `limit_bytes`, within `timeout_s`.

    A declared length over the limit is refused before a byte is read; a chunked body is counted as it comes.
    Raises TooLarge, BodyTimeout, BadInput for a length that is no number, and starlette's ClientDisconnect.
    """
    _check_size(declared_bytes(request) or 0, limit_bytes)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                _check_size(size, limit_bytes)
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTimeout("the body did not come in time", field="body", limit=f"{timeout_s:g} s") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def declared_bytes(request: Request) -> int | None:
    """How large the body is by the request's own word; None where it says nothing, BadInput where it says no number."""
    declared = request.headers.get("content-length")
    if declared is None:
        return None
    if not (declared.isascii() and declared.isdigit() and len(declared) <= LENGTH_DIGITS):
        raise BadInput("not a number of bytes", field="Content-Length")
    return int(declared)


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise TooLarge("the body is larger than this server takes", field="body", limit=limit_bytes)


class Admission:
    """A fixed number of seats; who finds none is refused at once and told so."""

    def __init__(self, *, limit: int, what: str = "requests", retry_after_s: float = 1.0) -> None:
        self._limit, self._what, self._retry_after_s = limit, what, retry_after_s
        self.in_flight = 0
        self.rejected = 0

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Hold a seat; raises Overloaded when all are taken."""
        if self.in_flight >= self._limit:
            self.rejected += 1
            raise Overloaded(
                f"no room: {self.in_flight} {self._what} are running",
                retry_after_s=self._retry_after_s,
                field=self._what,
                limit=self._limit,
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
