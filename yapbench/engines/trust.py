"""Before a sweep that streams: is there a certificate of the load generator here, and does it allow what is asked?"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from yapbench import certificate
from yapbench.trial import Trial


def check_load(trials: Sequence[Trial], console: Console, *, calibrate: bool) -> None:
    """`calibrate`: make a quick certificate where there is none. Raises UsageError for more streams than it allows."""
    streaming = [trial for trial in trials if trial.profile.stream is not None]
    if not streaming:
        return
    found = certificate.current()
    if found is None and calibrate:
        from yapbench.calibrate import command  # not for sweeps of requests

        found = command.ensure(console)
    for trial in (trial for trial in streaming if trial.search is None):
        certificate.refuse(trial.profile, found, audio_s=trial.corpus.audio_s / max(1, len(trial.corpus)))
