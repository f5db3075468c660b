"""What notebook 95_choose shows: its own candidate, and all candidates of the same sweep with their verdicts.

Knows how a cell displays things; computes no number of its own.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from yapbench import measures, store
from yapbench.capacity.results import CapacityResults
from yapbench.choose import figures, sentences, table
from yapbench.choose.candidate import Candidate
from yapbench.choose.choice import Choice
from yapbench.engines import attempts
from yapbench.figure import Figure
from yapbench.markup import Markup
from yapbench.obtained import streamed
from yapbench.results import table as plain_table
from yapbench.store import TrialData


class ChooseResults:
    """The results of one trial among those of its sweep; `ChooseResults(run.data()).line()` in a cell shows its own."""

    def __init__(self, data: TrialData) -> None:
        self.data = data

    @cached_property
    def choice(self) -> Choice:
        """Of all finished trials of the same notebook in the same folder; of this one alone where it lies apart."""
        beside = [trial for trial in store.read_sweep(self._sweep) if self._belongs(trial)]
        mine = str(self.data.info["trial_id"])
        trials = [self.data, *(trial for trial in beside if str(trial.info["trial_id"]) != mine)]
        points = [point for trial in trials for point in measures.points_of(trial)]
        return Choice.of(self._sweep, trials, points)

    @property
    def _sweep(self) -> Path:
        """Where the sweep's trials lie; a sweep's notebook runs as an attempt, in a folder apart from them."""
        above = self.data.folder.parent
        return above.parent if above.name == attempts.FOLDER else above

    def _belongs(self, trial: TrialData) -> bool:
        info = trial.info
        return info["status"] == "done" and streamed(info) and info["notebook"] == self.data.info["notebook"]

    def line(self) -> Markup:
        """This candidate's numbers."""
        mine = str(self.data.info["trial_id"])
        return self._rows([one for one in self.choice.candidates if one.trial_id == mine])

    def table(self) -> Markup:
        """Those of all candidates."""
        return self._rows(self.choice.candidates)

    def search(self) -> Markup | Figure:
        """The probes of the search; of a candidate that was given its loads, that there was none."""
        if self.data.info.get("search"):
            return CapacityResults(self.data).probes()
        return Markup("<p>Its loads were given: nothing was searched for.</p>")

    def verdicts(self) -> Markup:
        """For each use: who, why, and what would change it."""
        choice, parts = self.choice, []
        for verdict in choice.verdicts:
            parts.append(f"<h3>{html.escape(verdict.use.name)}: {html.escape(sentences.title(verdict))}</h3>")
            lines = [
                sentences.reason(verdict, choice.terms),
                *sentences.changes(choice.candidates, verdict, choice.terms),
                *(sentences.left_out(one, choice.terms) for one in verdict.left_out),
            ]
            parts.append("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>")
        return Markup("".join(parts))

    def figure(self) -> Figure:
        """Word errors against the time to the final."""
        return figures.words_and_times(self.choice)

    def _rows(self, found: Sequence[Candidate]) -> Markup:
        columns = table.columns(self.choice)
        head = ["candidate", "load", "N*", *(column.title for column in columns)]
        rows = [
            [
                html.escape(one.name),
                html.escape(sentences.load_words(one, self.choice.slo_ms)),
                html.escape(one.streams_words),
                *(_cell(column, one) for column in columns),
            ]
            for one in found
        ]
        return plain_table(head, rows)


def _cell(column: table.Column, one: Candidate) -> str:
    found = column.of(one)
    if found.value is None:
        return f"<span title='{html.escape(found.reason)}'>–</span>"
    return f"{column.digits(found.value)} <small>{column.interval(found)}</small>"
