"""Small words and numbers of sentences: "two", "57.1", "8 clients". Knows nothing of what is said with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from yapbench import axes
from yapbench.measures import Point
from yapbench.stats import Estimate

_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def number(value: Any) -> str:
    """A small whole number as a word."""
    return _NUMBERS[value] if isinstance(value, int) and 0 <= value < len(_NUMBERS) else axes.plain(value)


def capital(text: str) -> str:
    """The first letter in upper case, the others untouched."""
    return text[:1].upper() + text[1:]


def rate(value: float) -> str:
    """One decimal; none from 1000 on."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def ms(value: float) -> str:
    """Milliseconds without their unit: one decimal, none from 100 on."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def fine_ms(value: float) -> str:
    """The same with two digits below 10, for what should be far below 1."""
    return f"{value:.2g}" if value < 10 else ms(value)


def at(points: Sequence[Point], level: float) -> str:
    """A load level in the words of these points' load profile."""
    return axes.level_words(points[0].kind, level, streams=points[0].streams)


def value_of(axis: str, value: Any) -> str:
    """A setting's value in a sentence: "two sessions", "window 5 ms"."""
    if axis == "sessions":
        return f"{number(value)} session{'' if value == 1 else 's'}"
    return axes.words(axis, value)


def interval(value: Estimate) -> str:
    """ "27.4–28.2", or nothing when there is no interval."""
    return f"{rate(value.low)}–{rate(value.high)}" if value.low is not None and value.high is not None else ""
