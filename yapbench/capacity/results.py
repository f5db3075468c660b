"""What a notebook, the terminal and a report show of one search: the answer, its probes, its guards.

Knows how a cell displays things; computes no number of its own.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import cached_property

from yapbench.capacity import words
from yapbench.capacity.answer import Answer, Judged, Tried, answer_of
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

    def guards(self) -> Markup:
        """Each condition at the levels that decide."""
        rows = [
            [str(level.streams), html.escape(guard.name), str(guard.verdict), html.escape(guard.text)]
            for level in deciding(self.answer)
            for guard in level.guards
        ]
        return table(["streams", "guard", "verdict", "what was seen"], rows)

    def steps(self) -> Markup:
        """The probes in their order."""
        tail = f"{self.answer.options.percentile}, ms"
        return table(["streams", "probe", "why", tail, "n", "failed", "believed"], map(_step, self.answer.tried))


def deciding(answer: Answer) -> Sequence[Judged]:
    """The claimed level and the lightest one above it that does not hold; the lightest of all where none is claimed."""
    claimed = [level for level in answer.levels if level.streams == answer.claimed]
    above = [level for level in answer.levels if level.missed and level.streams > (answer.claimed or 0)]
    return [*claimed, *above[:1]] or answer.levels[:1]


def _step(tried: Tried) -> list[str]:
    tail = "–" if tried.tail_ms is None else f"{tried.tail_ms:.0f}"
    believed = "yes" if tried.valid else "no, thrown away"
    return [
        str(tried.level),
        str(tried.repeat + 1),
        html.escape(tried.reason),
        tail,
        str(tried.n),
        str(tried.failed),
        believed,
    ]
