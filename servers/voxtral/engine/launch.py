"""From settings to an engine that has answered: a child of ours, or one that somebody else runs."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from pathlib import Path
from typing import Final

from servers.common.errors import StartupRefused
from servers.voxtral import weights
from servers.voxtral.engine import command, progress
from servers.voxtral.engine.child import Child
from servers.voxtral.engine.folder import private_copy
from servers.voxtral.engine.place import LOOPBACK, REALTIME, Place, free_port
from servers.voxtral.engine.random_folder import random_folder
from servers.voxtral.engine.smoke import smoke
from servers.voxtral.interfaces import EngineGone, EngineRefused
from servers.voxtral.settings import TRAINED_DELAYS_MS, Settings

_log = logging.getLogger("servers.voxtral.engine")
POLL_S: Final = 0.25
LOGS: Final = "logs"
KEPT_LOGS: Final = 10


class Running:
    """An engine that answers."""

    def __init__(
        self, place: Place, *, child: Child | None = None, following: asyncio.Task[None] | None = None
    ) -> None:
        self.place = place
        self.version = ""
        self._child, self._following = child, following

    @property
    def pid(self) -> int | None:
        """Of the child; None for somebody else's."""
        return self._child.pid if self._child else None

    def alive(self) -> bool:
        """False when a process of the child has ended; of somebody else's nothing is known."""
        return self._child is None or self._child.alive()

    async def end(self, *, kill: bool) -> None:
        """Leaves nothing of a child, and somebody else's alone."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._child is not None:
            await self._child.end(kill=kill)


async def attach(settings: Settings) -> Running:
    """The engine at --engine-url, when it answers. Raises StartupRefused when it does not in time."""
    key = settings.engine_key.get_secret_value() if settings.engine_key else ""
    place = Place(settings.engine_url or "", settings.client_model, key)
    deadline_s = time.monotonic() + settings.engine_start_timeout_s
    while True:
        try:
            await smoke(place.begin, timeout_s=max(POLL_S, deadline_s - time.monotonic()))
            break
        except EngineRefused as refused:
            raise StartupRefused(f"the engine at {settings.engine_url} refuses: {refused}") from refused
        except (EngineGone, TimeoutError) as gone:
            if time.monotonic() > deadline_s:
                raise StartupRefused(f"the engine at {settings.engine_url} does not answer: {gone}") from gone
        await asyncio.sleep(POLL_S)
    running = Running(place)
    running.version = await place.version()
    return running


async def launch(settings: Settings) -> Running:
    """A child, when it has answered. Raises StartupRefused with its last lines; nothing is left of it then."""
    if settings.transcription_delay_ms not in TRAINED_DELAYS_MS:
        _log.warning("the model was not trained for a delay of %d ms", settings.transcription_delay_ms)
    folder = await asyncio.to_thread(_folder, settings)
    port, key = free_port(), secrets.token_urlsafe(32)
    log_path = _log_path(settings, port)
    argv = command.argv(settings, folder=folder, port=port)
    environment = command.environment(settings, key=key)
    _log.info("starting the engine", extra={"facts": {"command": " ".join(argv), "log": str(log_path)}})
    child = await Child.start(argv, environment=environment, log_path=log_path)
    following = asyncio.create_task(progress.follow(child.log_path))
    place = Place(f"ws://{LOOPBACK}:{port}{REALTIME}", settings.client_model, key)
    running = Running(place, child=child, following=following)
    try:
        async with asyncio.timeout(settings.engine_start_timeout_s):
            await _until_healthy(place, child)
            await _prove(place, child)
        child.know_parts()
        running.version = await place.version()
    except TimeoutError as late:
        await running.end(kill=True)
        limit = f"--engine-start-timeout-s={settings.engine_start_timeout_s:g} (VOXTRAL_ENGINE_START_TIMEOUT_S)"
        raise StartupRefused(f"the engine did not answer within {limit}\n{child.last_lines()}") from late
    except BaseException:
        await running.end(kill=True)
        raise
    return running


async def _until_healthy(place: Place, child: Child) -> None:
    while True:
        if not child.alive():
            await child.end()
            raise StartupRefused(f"the engine ended with exit code {child.exit_code}\n{child.last_lines()}")
        try:
            status, _ = await place.get("/health", timeout_s=2)
        except OSError:
            status = 0
        if status == 200:
            return
        await asyncio.sleep(POLL_S)


async def _prove(place: Place, child: Child) -> None:
    """The first utterance may take long: kernels are built for it."""
    try:
        await smoke(place.begin, timeout_s=None)
    except (EngineGone, EngineRefused) as failure:
        raise StartupRefused(f"the engine runs but cannot transcribe: {failure}\n{child.last_lines()}") from failure


def _folder(settings: Settings) -> Path:
    """The private copy of the model's folder, made now."""
    model_dir = _model_dir(settings)
    source = random_folder(settings, model_dir) if settings.model == "random" else weights.find(settings)
    return private_copy(source, model_dir, delay_ms=settings.transcription_delay_ms)


def _log_path(settings: Settings, port: int) -> Path:
    """Of an engine's own, for after a crash it is asked; only the newest few are kept."""
    folder = _model_dir(settings) / LOGS
    folder.mkdir(parents=True, exist_ok=True)
    older = sorted(folder.glob("engine-*.log"), key=lambda path: path.stat().st_mtime)
    for path in older[: 1 - KEPT_LOGS]:
        path.unlink(missing_ok=True)
    return folder / f"engine-{port}.log"


def _model_dir(settings: Settings) -> Path:
    return settings.model_dir.expanduser().absolute()
