"""What a client is told where an utterance ends without a result. The engine's own words are for the log."""

from __future__ import annotations

import logging

from servers.voxtral.faults import ENGINE_ERROR, WireFault, engine_failed, engine_unavailable
from servers.voxtral.interfaces import EngineGone, EngineRefused

_log = logging.getLogger("servers.voxtral")


def fault_of(error: Exception) -> WireFault:
    """Logs what is not the client's own to know."""
    match error:
        case WireFault():
            return error
        case EngineGone():
            _log.info("an utterance lost the engine: %s", error)
            return engine_unavailable()
        case EngineRefused():
            _log.warning("the engine refused an utterance: %s", error)
            return engine_failed(ENGINE_ERROR, "the speech engine gave this utterance up")
        case _:
            _log.error("an utterance failed", exc_info=error)
            return engine_failed(ENGINE_ERROR, "this utterance failed in the gateway")
