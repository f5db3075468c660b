"""Our own server with the model that every peer gets: one session, no deadline that a slow model could miss."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.peers.models import Asked, build, read_arguments
from servers.common.interfaces import ModelIdentity, TurnDetector
from servers.common.serve import serve
from servers.common.settings import parse
from servers.smart_turn.app import create_app
from servers.smart_turn.settings import Settings

DEADLINE_MS = 600_000


def run(asked: Asked, build_model: Callable[[], TurnDetector], *flags: str) -> int:
    """Serve until SIGTERM; `flags` are the server's own. Its batches, window and edge are what a user gets."""
    place = ["--host=127.0.0.1", f"--port={asked.port}", "--log-level=warning"]
    # Which model the settings name decides nothing here but which knobs they take.
    named = "random" if asked.is_v2 else "v3-onnx"
    common = [f"--model={named}", "--sessions=1", f"--deadline-ms={DEADLINE_MS}"]
    identity = ModelIdentity(model_id=asked.model, revision="", sha256="")
    return serve(
        parse(Settings, [*place, *common, *flags]),
        lambda settings: create_app(settings, build=build_model, identity=identity, device=asked.device),
    )


if __name__ == "__main__":
    given = read_arguments()
    sys.exit(run(given, lambda: build(given), *given.extra))
