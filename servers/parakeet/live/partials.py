"""The open chunk's text so far, every so often, where the server has time for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.errors import ServerFault
from servers.parakeet.desk import Desk
from servers.parakeet.live.chunker import Chunk, Chunker
from servers.parakeet.live.protocol import write_partial
from servers.parakeet.settings import Settings

SUFFIX: Final = "/partial"
"""Of the request id in the trace: a partial is no chunk."""


class Partials:
    """One client's. At most one is on its way; `show` gets each message, and None when the last is void."""

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        *,
        request_id: str,
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        show: Callable[[str | None], None],
    ) -> None:
        """`start` makes a task of the session."""
        self._desk, self._start, self._show = desk, start, show
        self._request_id = request_id + SUFFIX
        self._busy_at = settings.batch_size
        """With a whole batch in line, a partial would only make chunks wait."""
        self._every_samples = int(settings.partials_ms * SAMPLE_RATE_HZ / 1000)
        self._asked_samples = 0
        """Length of the open chunk at the last one, sent or not."""
        self._task: asyncio.Task[None] | None = None

    def consider(self, chunker: Chunker) -> None:
        """Asks for one if it is time. The chunk's own audio is the clock: where nothing comes, nothing is new."""
        if not self._every_samples or chunker.open_samples - self._asked_samples < self._every_samples:
            return
        if self._task is not None or self._desk.waiting >= self._busy_at:
            return
        chunk = chunker.so_far()
        if chunk is not None:
            self._asked_samples = chunker.open_samples
            self._task = self._start(self._ask(chunk))

    def drop(self) -> None:
        """The chunk is closed."""
        self._asked_samples = 0
        self._show(None)
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _ask(self, chunk: Chunk) -> None:
        try:
            answer = await self._desk.transcribe(chunk.audio, request_id=self._request_id)
        except ServerFault:
            # The chunk's own answer will say what is wrong, if it still is.
            self._task = None
            return
        self._task = None
        if answer.value.text:
            self._show(write_partial(chunk, answer.value))
