"""Columns of exported tables: name, type, unit and meaning. Knows how names tell units; knows no trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from yapbench import axes, stats

TEXT: Final = pa.string()
NUMBER: Final = pa.float64()
WHOLE: Final = pa.int64()
FLAG: Final = pa.bool_()

_TYPES: Final = {TEXT: "text", NUMBER: "number", WHOLE: "whole number", FLAG: "true or false"}

_UNITS: Final = {
    "_ms_per_s": "ms per s",
    "_ms_per_request": "ms per request",
    "audio_s_per_s": "s of audio per s",
    "_s_per_audio_s": "s per s of audio",
    "_wh_per_audio_h": "Wh per h of audio",
    "_per_audio_h": "per h of audio",
    "_words_per_min": "words per min",
    "_bytes_rate": "bytes per s of speech",
    "partial_rate": "1 per s of speech",
    "rps": "requests per s",
    "_share": "share from 0 to 1",
    "_percent": "%",
    "_mib": "MiB",
    "_bytes": "bytes",
    "_hz": "Hz",
    "_db": "dB",
    "_secs": "s",
    "_ms": "ms",
    "_s": "s",
    "_w": "W",
    "_wh": "Wh",
    "_j": "J",
}
"""By the end of a name, the first that fits; units stand in names here."""

_TAILS: Final = tuple(f"_p{round(100 * share)}" for share in stats.NEEDED)
_PREFIX: Final = "setting_"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: pa.DataType
    meaning: str
    given_unit: str | None = None
    """Where the name does not tell it."""

    @property
    def unit(self) -> str:
        """Of a number, as its name says it; "1" for a pure number, nothing for a text."""
        if self.given_unit is not None:
            return self.given_unit
        return unit_of(self.name) if self.type in (NUMBER, WHOLE) else ""

    @property
    def kind(self) -> str:
        """The type in words."""
        return _TYPES[self.type]


def unit_of(name: str) -> str:
    """The unit that a column's name ends with; a pure number's is "1"."""
    bare = next((name.removesuffix(end) for end in ("_low", "_high") if name.endswith(end)), name)
    return next((unit for end, unit in _UNITS.items() if bare.endswith(end)), "1")


def is_tail(measure: str) -> bool:
    """A percentile that is only indicative where there are too few samples."""
    return any(tail in measure for tail in _TAILS)


def of_measure(name: str, meaning: str) -> list[Column]:
    """The columns of one measure in a wide table: value, 95 % interval, samples, and of a tail whether to trust it."""
    found = [
        Column(name, NUMBER, meaning),
        Column(f"{name}_low", NUMBER, f"lower end of the 95 % interval of {name}"),
        Column(f"{name}_high", NUMBER, f"upper end of the 95 % interval of {name}"),
        Column(f"{name}_n", WHOLE, f"samples behind {name}"),
    ]
    if is_tail(name):
        found.append(Column(f"{name}_indicative", FLAG, f"{name} is from too few samples to be relied upon"))
    return found


def of_settings(
    settings: Sequence[Mapping[str, Any]], *, taken: Iterable[str], helps: Mapping[str, str]
) -> dict[str, Column]:
    """By the name of each setting, in alphabetical order, its column: called as the setting where that is free.

    `taken`: names that are not; `helps`: what settings mean. A setting with values of several types becomes text.
    """
    used = set(taken)
    names = sorted({name for setting in settings for name in setting})
    return {
        name: Column(
            f"{_PREFIX}{name}" if name in used else name,
            _type_of(setting.get(name) for setting in settings),
            f"setting, as obtained: {helps.get(name, name)}",
        )
        for name in names
    }


def fitted(value: object, kind: pa.DataType) -> object:
    """A setting's value as its column holds it."""
    if value is None or kind != TEXT:
        return float(value) if kind == NUMBER and isinstance(value, int | float) else value
    return value if isinstance(value, str) else axes.plain(value)


def _type_of(values: Iterable[object]) -> pa.DataType:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return FLAG
    if kinds == {int}:
        return WHOLE
    return NUMBER if kinds and kinds <= {int, float} else TEXT
