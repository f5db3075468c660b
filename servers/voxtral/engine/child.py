"""One engine process, with all it started: begun, watched, ended. It cannot outlive the gateway, also not kill -9.

vLLM is a tree: the server that we start, an engine core and workers. When the core or a worker dies the server goes on
answering for seconds, so the parts are watched too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import psutil

from servers.common.errors import StartupRefused
from servers.common.lifeline import NotSupervised, Supervised, spawn
from servers.common.supervise import ProcessId

PART_TITLE: Final = "VLLM::"
"""Titles of vLLM's own processes begin so; others come and go, compilers among them."""
GRACE_S: Final = 5.0
TAIL_BYTES: Final = 65_536


class Child:
    """A running engine. Its methods do not block the loop unless they say so."""

    def __init__(self, supervised: Supervised, log_path: Path) -> None:
        self._supervised = supervised
        self.pid = supervised.pid
        self.log_path = log_path
        self._parts: list[ProcessId] = []

    @classmethod
    async def start(cls, argv: Sequence[str], *, environment: Mapping[str, str], log_path: Path) -> Self:
        """Starts `argv`; its output goes to a fresh `log_path`. Raises StartupRefused when it cannot be started."""
        with log_path.open("wb"):  # of the last start nothing is kept; below, every writer appends
            pass
        with log_path.open("ab") as log:
            starting = asyncio.to_thread(spawn, argv, log=log, environment=environment, grace_s=GRACE_S)
            try:
                supervised = await _not_abandoned(asyncio.ensure_future(starting))
            except (NotSupervised, OSError) as error:
                raise StartupRefused(f"the engine cannot be started: {error}") from error
        return cls(supervised, log_path)

    def know_parts(self) -> None:
        """Take note of the processes that the engine consists of now: from here on each of them has to live."""
        parts = [ProcessId.of(process.pid) for process in self._supervised.processes() if _is_part(process)]
        self._parts = [part for part in parts if part is not None]

    def alive(self) -> bool:
        """Whether the engine runs, in all its parts."""
        return self._supervised.alive() and all(part.alive() for part in self._parts)

    @property
    def exit_code(self) -> int | None:
        """Of the process that was started, 128 + n for signal n; None while anything of it is left."""
        return self._supervised.exit_code

    def last_lines(self, count: int = 12) -> str:
        """The end of what it printed."""
        with contextlib.suppress(OSError), self.log_path.open("rb") as file:
            file.seek(max(0, self.log_path.stat().st_size - TAIL_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
        return ""

    async def end(self, *, kill: bool = False) -> None:
        """Ends it with all it started and waits for that; `kill`: without asking first. Repeatable."""
        await asyncio.to_thread(self._end, kill)

    def _end(self, kill: bool) -> None:
        for process in self._supervised.processes() if kill else []:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._supervised.stop()


async def _not_abandoned(spawning: asyncio.Future[Supervised]) -> Supervised:
    """Its result; given up, what has been started meanwhile is ended first."""
    try:
        return await asyncio.shield(spawning)
    except asyncio.CancelledError:
        supervised = await spawning
        await asyncio.to_thread(supervised.stop)
        raise


def _is_part(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).startswith(PART_TITLE)
    return False
