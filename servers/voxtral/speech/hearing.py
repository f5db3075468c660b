"""Makes utterances: what is said to a Listener of what is fed to it."""

from __future__ import annotations

import weakref

from servers.common.metrics import Metrics
from servers.voxtral.interfaces import Engine, Listener, Utterance
from servers.voxtral.settings import Settings
from servers.voxtral.speech.pool import Pool
from servers.voxtral.speech.utterance import Speech


class Hearing:
    """One per app; on the event loop. Call it with whom to tell."""

    def __init__(self, settings: Settings, engine: Engine, metrics: Metrics) -> None:
        self._settings, self._engine = settings, engine
        self._pool = Pool(settings, metrics)
        self._running: weakref.WeakSet[Speech] = weakref.WeakSet()
        metrics.gauge("engine_lag_seconds", "Audio unanswered by the engine, of the worst", read=lambda: self.lag_s)

    def __call__(self, listener: Listener) -> Utterance:
        speech = Speech(listener, self._settings, self._engine, self._pool)
        self._running.add(speech)
        return speech

    @property
    def lag_s(self) -> float:
        """Of the utterance that is furthest behind."""
        return max((speech.lag_s for speech in self._running), default=0.0)

    async def close(self) -> None:
        """Until each request that was let go is closed; utterances that still run go on."""
        await self._pool.close()
