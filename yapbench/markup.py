"""The smallest object that a notebook shows as HTML."""

from __future__ import annotations


class Markup:
    """Shown as `markup` when it is a cell's last value."""

    def __init__(self, markup: str) -> None:
        self.markup = markup

    def _repr_html_(self) -> str:
        return self.markup
