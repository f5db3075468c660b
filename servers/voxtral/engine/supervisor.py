"""The engine, kept running: started, proved by an utterance, watched, and after a crash started again.

An engine that somebody else runs (VLLM_REALTIME_URL) is proved and watched the same way, and waited for when it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry

from servers.common.devices import cuda_is_visible
from servers.common.errors import StartupRefused
from servers.voxtral.engine import command
from servers.voxtral.engine.launch import Running, attach, launch
from servers.voxtral.engine.place import Place
from servers.voxtral.engine.scrape import EngineNumbers
from servers.voxtral.engine.watch import Rhythm, until_gone
from servers.voxtral.interfaces import EngineGone, Request
from servers.voxtral.settings import Settings

_log = logging.getLogger("servers.voxtral.engine")
STEADY_S: Final = 60.0
"""An engine that ran so long is started again at once when it goes; one that did not, after a pause."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0

State = Literal["stopped", "starting", "ready", "restarting"]


class Supervisor:
    """See interfaces.Engine."""

    def __init__(self, settings: Settings, *, rhythm: Rhythm | None = None) -> None:
        self.on_gone: Callable[[], None] = lambda: None
        """Called on the loop, at once, when `available` becomes False without `stop`."""
        self._settings = settings
        self._rhythm = rhythm or Rhythm()
        self._state: State = "stopped"
        self._running: Running | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._numbers = EngineNumbers()
        self._restarts = 0
        self._start_s = 0.0
        self._failure = ""

    @property
    def available(self) -> bool:
        """Whether it answers."""
        return self._state == "ready"

    async def begin(self) -> Request:
        """A new request, begun. Raises EngineGone, and EngineRefused."""
        if (place := self._place()) is None:
            raise EngineGone("the engine is not running")
        return await place.begin()

    def facts(self) -> dict[str, Any]:
        """For /status."""
        running, is_ours = self._running, self._settings.engine_url is None
        return {
            "state": self._state,
            "where": "child" if is_ours else "url",
            "device": ("cuda" if cuda_is_visible() else "cpu") if is_ours else "unknown",
            "pid": running.pid if running else None,
            "version": running.version if running else "",
            "start_s": round(self._start_s, 3),
            "restarts": self._restarts,
            "failure": self._failure,
        }

    def export(self, registry: CollectorRegistry) -> None:
        """The engine's own metrics appear among those of `registry`. Once."""
        self._numbers.register(registry)

    async def start(self) -> None:
        """Returns when a smoke utterance was answered. Raises StartupRefused, and nothing is left then."""
        if self._settings.engine_url is None:
            command.check(self._settings)
        self._state = "starting"
        try:
            await self._bring_up()
        except BaseException:
            self._state = "stopped"
            raise
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._numbers.follow(self._place))]
        for task in self._tasks:
            task.add_done_callback(_say_failure)

    async def stop(self) -> None:
        """Ends the engine, if it is ours, with all it started."""
        self._state = "stopped"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._take_down(kill=False)

    async def _keep(self) -> None:
        """Until cancelled: whenever it has gone, bring it back."""
        pause_s = 0.0
        while True:
            if (running := self._running) is not None:
                began_s = time.monotonic()
                self._lose(await until_gone(running.place, running.alive, self._rhythm))
                await self._take_down(kill=True)
                if time.monotonic() - began_s > STEADY_S:
                    pause_s = 0.0
            await asyncio.sleep(pause_s)
            pause_s = min(max(FIRST_PAUSE_S, 2 * pause_s), LONGEST_PAUSE_S)
            self._restarts += 1
            with contextlib.suppress(StartupRefused):
                await self._bring_up()

    def _lose(self, reason: str) -> None:
        self._state, self._failure = "restarting", reason
        _log.error("the engine has gone: %s", reason)
        self.on_gone()

    async def _bring_up(self) -> None:
        began_s = time.monotonic()
        begin = launch if self._settings.engine_url is None else attach
        try:
            self._running = await begin(self._settings)
        except StartupRefused as refused:
            self._failure = str(refused)
            _log.error("the engine did not start: %s", refused)
            raise
        self._start_s, self._state = time.monotonic() - began_s, "ready"
        facts = {"pid": self._running.pid, "vllm": self._running.version, "seconds": round(self._start_s, 1)}
        _log.info("the engine answers", extra={"facts": facts})

    async def _take_down(self, *, kill: bool) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.end(kill=kill)

    def _place(self) -> Place | None:
        return self._running.place if self._running is not None and self.available else None


def _say_failure(task: asyncio.Task[None]) -> None:
    """Neither of the two ends by itself: that would be a fault of ours, and must not pass in silence."""
    if not task.cancelled() and (failure := task.exception()) is not None:
        _log.critical("the engine is not looked after any more", exc_info=failure)
