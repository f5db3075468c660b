"""What a notebook, the terminal and a report show of one search: the answer, its probes, its guards.

Knows how a cell displays things; computes no number of its own.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cached_property

from yapbench.capacity import words
from yapbench.capacity.answer import Answer, Judged, answer_of
from yapbench.capacity.observation import observations_of
from yapbench.capacity.options import SearchOptions
from yapbench.errors import ExitCode, UsageError
from yapbench.figure import Figure
from yapbench.markup import Markup
from yapbench.plots.capacity import capacity
from yapbench.results import table
from yapbench.store import TrialData
from yapbench.streams.captions import Manner


class CapacityResults:
    """The results of a trial that searched; `CapacityResults(run.data()).probes()` in a cell shows that figure."""

    def __init__(self, data: TrialData) -> None:
        """Raises UsageError for a trial whose load levels were given."""
        if not data.info.get("search"):
            raise UsageError(f"{data.folder}: this trial did not search for a capacity")
        self.data = data

    @cached_property
    def answer(self) -> Answer:
        """Computed from the stored rows."""
        return answer_of(observations_of(self.data), SearchOptions(**self.data.info["search"]))

    @property
    def exit_code(self) -> ExitCode:
        """What the verb answers to the shell."""
        return self.answer.exit_code

    def sentences(self) -> list[str]:
        """The answer, strongest first."""
        return words.sentences(self.answer)

    def conclusion(self) -> Markup:
        """The same as a cell shows it."""
        first, *more = self.sentences()
        items = "".join(f"<li>{html.escape(line)}</li>" for line in more)
        return Markup(f"<h3>{html.escape(first)}</h3><ul>{items}</ul>")

    def probes(self) -> Figure:
        """Every probe, the fit through them, the target, and where they meet."""
        stream = (self.data.info.get("load") or {}).get("stream")
        manner = Manner(str(stream.get("eos", "commit")), float(stream.get("pace", 1.0))).words if stream else ""
        return capacity(self.answer, manner=manner)

    def guard_rows(self) -> list[tuple[str, ...]]:
        """(streams, guard, verdict, what was seen) at the levels that decide."""
        levels = deciding(self.answer)
        return [(str(level.streams), g.name, str(g.verdict), g.text) for level in levels for g in level.guards]

    def step_rows(self) -> list[tuple[str, ...]]:
        """The probes in their order: (streams, probe of that level, why, tail, n, failed, believed)."""
        return [
            (
                str(one.level),
                str(one.repeat + 1),
                one.reason,
                "–" if one.tail_ms is None else f"{one.tail_ms:.0f}",
                str(one.n),
                str(one.failed),
                "yes" if one.valid else "thrown away",
            )
            for one in self.answer.tried
        ]

    def guards(self) -> Markup:
        """Each condition at the levels that decide."""
        return _table(["streams", "guard", "verdict", "what was seen"], self.guard_rows())

    def steps(self) -> Markup:
        """The probes in their order."""
        tail = f"{self.answer.options.percentile}, ms"
        return _table(["streams", "probe", "why", tail, "n", "failed", "believed"], self.step_rows())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    return table(head, [[html.escape(cell) for cell in row] for row in rows])


def deciding(answer: Answer) -> Sequence[Judged]:
    """The claimed level and the lightest one above it that does not hold; the lightest of all where none is claimed."""
    claimed = [level for level in answer.levels if level.streams == answer.claimed]
    above = [level for level in answer.levels if level.missed and level.streams > (answer.claimed or 0)]
    return [*claimed, *above[:1]] or answer.levels[:1]
