"""All that is chosen from one sweep's trials: candidates, terms, a verdict for each use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from yapbench.choose import sentences
from yapbench.choose.candidate import Candidate, candidates
from yapbench.choose.comparable import is_of_files
from yapbench.choose.terms import Terms, terms_of
from yapbench.choose.use import uses
from yapbench.choose.verdict import Verdict, decide
from yapbench.measures import Point
from yapbench.store import TrialData

CHOOSE: Final = "95_choose"
"""The notebook that measures candidates."""


@dataclass(frozen=True)
class Choice:
    """What a page or a notebook shows."""

    candidates: Sequence[Candidate]
    terms: Terms
    slo_ms: float
    """Target of the searches."""

    @classmethod
    def of(cls, folder: Path, trials: Sequence[TrialData], points: Sequence[Point]) -> Choice:
        """Of the finished trials of streams in `folder` and their points over all repeats; candidates by name."""
        infos = [trial.info for trial in trials]
        terms = terms_of(folder, infos)
        live = [float(info.get("slo_ms") or 500.0) for info in infos if not is_of_files(info)]
        found = sorted(candidates(trials, points, terms), key=lambda one: one.name)
        return cls(found, terms, live[0] if live else 500.0)

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """One for each use."""
        return [decide(self.candidates, use) for use in uses(self.slo_ms)]

    @property
    def headline(self) -> str:
        """All of them in a sentence."""
        return sentences.headline(self.verdicts)
