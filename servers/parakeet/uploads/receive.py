"""A request's body as it comes: a form with one file and a few words, or the bare file. Decodes nothing.

A file over MEMORY_BYTES goes to a temporary one without a name: whatever ends the process or the request, nothing is
left of it.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Final

from starlette.requests import ClientDisconnect, Request

from servers.common.errors import BadInput, BodyTimeout, TooLarge, Unsupported
from servers.common.limits import declared_bytes
from servers.parakeet.uploads.fields import Fields
from servers.parakeet.uploads.form import Form, read_boundary

MEMORY_BYTES: Final = 4_000_000
"""An upload of more is written to the disk."""
WRITE_BYTES: Final = 1_000_000
"""To the disk in portions of this size, by a thread."""
FILE: Final = "file"
_BARE: Final = ("audio/", "video/", "application/octet-stream", "application/ogg", "binary/octet-stream")


class Incoming:
    """The body of one request. `ended`: all of it has been read."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.ended = False

    async def read(self) -> bytes:
        """The next portion, which may be empty; raises ClientDisconnect."""
        message = await self.request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self.ended = not message.get("more_body", False)
        portion: bytes = message.get("body", b"")
        return portion


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """What came. `file` is at its beginning; `fields` are the form's and the URL's."""

    file: IO[bytes]
    size: int
    fields: Fields
    in_memory: bool


class Spool:
    """Takes a file's portions: in memory while it is small, else on the disk, written by a thread."""

    def __init__(self) -> None:
        self.file: IO[bytes] = io.BytesIO()
        self.size, self.in_memory = 0, True
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def add(self, portion: bytes) -> None:
        """Of any size; keeps it until `settle`."""
        self._waiting.append(portion)
        self._waiting_bytes += len(portion)
        self.size += len(portion)

    async def settle(self, *, last: bool = False) -> None:
        """Puts what waits where it belongs, if there is enough of it or it is the last."""
        if self.size <= MEMORY_BYTES:
            if last:
                self.file = io.BytesIO(b"".join(self._waiting))  # shares the bytes: nothing is copied again
            return
        if self.in_memory:
            self.file, self.in_memory = tempfile.TemporaryFile(), False  # noqa: SIM115  (closed by `receive`)
        if self._waiting and (self._waiting_bytes >= WRITE_BYTES or last):
            portions, self._waiting, self._waiting_bytes = self._waiting, [], 0
            await asyncio.to_thread(self.file.writelines, portions)


@asynccontextmanager
async def receive(
    incoming: Incoming, *, limit_bytes: int, timeout_s: float, bare: bool = True
) -> AsyncIterator[Upload]:
    """The whole upload; its file lives until the context is left. `bare`: a body that is the file itself will do.

    Raises TooLarge (before a byte is read where the length is declared, else as it comes), BodyTimeout, BadInput for
    a form that is damaged or lacks its file, Unsupported for anything else, and starlette's ClientDisconnect.
    """
    kind = incoming.request.headers.get("content-type", "")
    _check_size(declared_bytes(incoming.request) or 0, limit_bytes)
    spool, form = Spool(), None
    if kind.lower().startswith("multipart/form-data"):
        form = Form(read_boundary(kind), file=FILE, sink=spool.add)
    elif not bare or not kind.lower().startswith(_BARE):
        wanted = f"multipart/form-data with a field '{FILE}'" + (", audio/* or application/octet-stream" * bare)
        raise Unsupported(f"a body of type {kind[:80] or '(none)'} is not taken", field="Content-Type", limit=wanted)
    try:
        try:
            async with asyncio.timeout(timeout_s):
                await _read_all(incoming, form, spool, limit_bytes)
        except TimeoutError:
            raise BodyTimeout("the upload did not come in time", field="body", limit=f"{timeout_s:g} s") from None
        if form is not None:
            form.check_complete()
        spool.file.seek(0)
        if not spool.size:
            raise BadInput("the file is empty", field=FILE if form else "body", limit="at least one sample")
        given = [item for item in incoming.request.query_params.multi_items() if item[0] != "api_key"]
        yield Upload(spool.file, spool.size, Fields([*given, *(form.fields if form else ())]), spool.in_memory)
    finally:
        spool.file.close()


async def _read_all(incoming: Incoming, form: Form | None, spool: Spool, limit_bytes: int) -> None:
    read = 0
    while not incoming.ended:
        portion = await incoming.read()
        read += len(portion)
        _check_size(read, limit_bytes)
        if form is None:
            spool.add(portion)
        else:
            form.write(portion)
        await spool.settle()
    await spool.settle(last=True)


def _check_size(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        message = f"the upload is larger than {limit_bytes / 1e6:g} MB (MAX_UPLOAD_MB)"
        raise TooLarge(message, field="body", limit=limit_bytes)
