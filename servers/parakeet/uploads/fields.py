"""What a client asks for beside its file, read from words. A name that is nearly right is refused. Pure."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterable
from typing import Final

from servers.common.errors import BadInput

_log = logging.getLogger("servers.parakeet")
_TRUE: Final = ("true", "1", "yes", "on")
_FALSE: Final = ("false", "0", "no", "off")
_NEAR: Final = 0.8


class Fields:
    """Of one request, in their order; of a name that came twice the last counts, except in `every`."""

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._items = list(items)

    def check_names(self, known: Collection[str]) -> None:
        """Raises BadInput for a name that is nearly one of `known`; others are logged, and mean nothing."""
        for name in dict(self._items):
            if name in known:
                continue
            if near := difflib.get_close_matches(name.lower(), known, n=1, cutoff=_NEAR):
                raise BadInput(f"unknown field; did you mean '{near[0]}'?", field=name[:80], limit=near[0])
            _log.info("a form field without a meaning here", extra={"facts": {"field": name[:80]}})

    def text(self, name: str, default: str = "") -> str:
        return dict(self._items).get(name, default)

    def every(self, *names: str) -> list[str]:
        """All values given under one of `names`."""
        return [value for name, value in self._items if name in names]

    def flag(self, name: str, *, default: bool) -> bool:
        """true/1/yes/on or false/0/no/off; BadInput for another word."""
        given = (self.text(name) or str(default)).strip().lower()
        if given not in _TRUE and given not in _FALSE:
            raise BadInput(f"'{given[:40]}' is neither yes nor no", field=name, limit="true or false")
        return given in _TRUE

    def choice(self, name: str, choices: Collection[str]) -> str:
        """One of `choices`, the first where nothing is given; BadInput for another word."""
        given = self.text(name) or next(iter(choices))
        if given not in choices:
            raise BadInput(f"'{given[:40]}' is not one of {', '.join(choices)}", field=name, limit=", ".join(choices))
        return given

    def number(self, name: str, *, least: float, most: float) -> float | None:
        """None where it is not given; BadInput for what is no number from `least` to `most`."""
        given = self.text(name)
        if not given:
            return None
        try:
            value = float(given)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise BadInput(f"'{given[:40]}' is no number from {least:g} to {most:g}", field=name, limit=most)
        return value
