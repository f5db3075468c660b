"""Which trials want a GPU."""

from __future__ import annotations

from yapbench import catalog
from yapbench.trial import Trial


def wants_gpu(trial: Trial) -> bool:
    """Whether a trial gets a GPU where there are any: it launches its server, which was not told to keep to the CPU."""
    if trial.url:
        return False
    effective = catalog.effective_settings(catalog.lookup(trial.server), trial.settings)
    return effective.get("device") != "cpu"
