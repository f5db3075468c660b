"""A made-up sweep of candidates: three live servers that were searched, and one that was sent files. For tests only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.yapbench import made_up_sessions
from yapbench import store
from yapbench.capacity.options import SearchOptions
from yapbench.pacing.streaming import WHOLE_FILES

OPTIONS: Final = SearchOptions(slo_ms=500, start=8, most=64, replicates=100)
SERVERS: Final[dict[str, dict[str, Any]]] = {
    "fastconformer": {"base_ms": 60, "wrong": 0.5, "levels": (8, 32)},
    "kyutai": {"base_ms": 110, "wrong": 0.1, "levels": (1, 8, 32)},
    "voxtral": {"base_ms": 130, "wrong": 0.12, "levels": (8, 32)},
}
"""Quick and often wrong; slower and mostly right; slower still, and no better."""


def searched(folder: Path, server: str, *, seed: int = 1, repeats: int = 3, **more: Any) -> store.TrialData:
    """A live trial that probed 8 and 32 streams, three times each."""
    given: dict[str, Any] = {"levels": (8, 32), "count": 50, "slo_ms": 500, "settings": {"model": "stt"}} | more
    made = made_up_sessions.trial(folder, server=server, client=server, repeats=repeats, seed=seed, **given)
    return _stored(made, {"search": OPTIONS.as_dict()})


def files(folder: Path, *, wrong: float = 0.1, **more: Any) -> store.TrialData:
    """A trial of whole files, 1 and 8 at a time."""
    given: dict[str, Any] = {"levels": (1, 8), "count": 60, "slo_ms": 500, "settings": {"model": "stt"}} | more
    made = made_up_sessions.trial(
        folder, server="parakeet", client="parakeet_upload", options=WHOLE_FILES, wrong=wrong, **given
    )
    return _stored(made, {})


def sweep(folder: Path, **more: Any) -> Path:
    """All four candidates."""
    for k, (server, how) in enumerate(SERVERS.items()):
        searched(folder / f"{k}{server[:5]}000000", server, seed=k, **how | more)
    files(folder / "3parak000000", **more)
    return folder


def _stored(made: store.TrialData, facts: dict[str, Any]) -> store.TrialData:
    """With the notebook that asks which server to take, under the name of its folder."""
    info = made.info | {"notebook": "95_choose"} | facts
    info["load"] = info["load"] | {"duration_s": 12.0}
    store.write_json(made.folder / store.TRIAL, info)
    return store.read_trial(made.folder)
