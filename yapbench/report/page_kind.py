"""What differs between a page of requests and a page of streams; everything else of a page is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from yapbench.captions import Number
from yapbench.figure import Figure
from yapbench.findings import Finding
from yapbench.measures import Point
from yapbench.report.gather import Gathered


class PageKind(Protocol):
    """A module with these names: `turn_page` and `stream_page`."""

    @property
    def THING(self) -> str:
        """What is counted, in the singular: "request"."""

    @property
    def FAILED(self) -> str:
        """What is said of those that failed: "not answered"."""

    @property
    def MEASURES(self) -> Mapping[str, str]:
        """Every number of a point and what it means."""

    @property
    def OWN(self) -> str:
        """The template of the section that only this kind has; it gets what `own` returns."""

    @property
    def METHOD(self) -> str:
        """The template that says how it was measured."""

    def columns(self, points: Sequence[Point]) -> Sequence[tuple[str, str]]:
        """(measure, title) of the table's columns."""

    def headline(self, points: Sequence[Point], *, failed: int = 0) -> str:
        """The page's finding; numbers may stand in one bracket at its end."""

    def findings(self, points: Sequence[Point]) -> list[Finding]:
        """What else was found."""

    def numbers(self, gathered: Gathered) -> list[Number]:
        """The four big numbers."""

    def figures(self, gathered: Gathered) -> list[Figure]:
        """In the order of the page."""

    def own(self, gathered: Gathered) -> dict[str, Any]:
        """For the template OWN."""

    def notes(self, gathered: Gathered) -> list[str]:
        """Sentences at the head of the page without which it would mislead."""

    def badges(self, gathered: Gathered) -> list[str]:
        """Warnings of this kind alone."""

    def how(self, gathered: Gathered) -> list[str]:
        """Parts of the line below the headline."""
