"""Names of marks and colours above a chart, in as many lines as they need. Knows widths of letters; no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yapbench.figure import WIDTHS, Sheet

Item = tuple[str, str]
"""(text, colour)"""

LINE_INCHES: Final = 0.19
_LETTER_INCHES: Final = 0.071
"""Of 8 points in bold, a little more than the average."""
_GAP_INCHES: Final = 0.16


def lines_of(items: Sequence[Item], size: str) -> list[list[Item]]:
    """The items in lines that fit a sheet of that size."""
    lines: list[list[Item]] = [[]]
    for item in items:
        if lines[-1] and sum(map(_width, [*lines[-1], item])) > WIDTHS[size]:
            lines.append([])
        lines[-1].append(item)
    return lines


def height(items: Sequence[Item], size: str) -> float:
    """Inches that the legend takes from the top of the sheet."""
    return LINE_INCHES * len(lines_of(items, size)) + 0.08


def write_legend(sheet: Sheet, items: Sequence[Item]) -> None:
    """Draw it at the top of the sheet, from its left."""
    wide, tall = sheet.canvas.get_size_inches()
    for number, line in enumerate(lines_of(items, sheet.size)):
        at = 0.05
        for item in line:
            place = (at / wide, 1 - (0.03 + LINE_INCHES * number) / tall)
            sheet.canvas.text(*place, item[0], color=item[1], fontsize=8, fontweight="bold", va="top")
            at += _width(item)


def _width(item: Item) -> float:
    return _GAP_INCHES + _LETTER_INCHES * len(item[0])
