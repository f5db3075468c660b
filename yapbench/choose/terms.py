"""What an hour of audio costs: money where a price is known, else time of the machine. Knows no server.

A machine that carries N* live streams, which speak in a share of the hour (duty), hears N* x duty hours of audio an
hour; one that is sent files hears as many as it finishes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yapbench import parameters, store, yaml_text
from yapbench.stats import Estimate
from yapbench.streams.cost import USUAL_CURRENCY

HOUR_S: Final = 3600.0


@dataclass(frozen=True)
class Terms:
    """Price of an hour of the machine, and the share of the time in which a live stream speaks."""

    price_per_hour: float | None = None
    """Of the whole machine that a server ran on; None: cost is told as time of that machine."""
    currency: str = USUAL_CURRENCY
    source: str = ""
    """Where and when the price was found; free text."""
    duty: float = 1.0

    @property
    def unit(self) -> str:
        """Of a cost."""
        return "machine s" if self.price_per_hour is None else self.currency

    @property
    def words(self) -> str:
        """How cost was reckoned, in a sentence or two."""
        share = "all the time" if self.duty == 1 else f"{100 * self.duty:g} % of the time"
        spoken = f"each live stream speaking {share}"
        if self.price_per_hour is None:
            return f"No price was given: cost is the time of the whole machine for an hour of audio, {spoken}"
        found = f" ({self.source})" if self.source else ""
        return f"An hour of the machine is taken to cost {self.price_per_hour:g} {self.currency}{found}, {spoken}"

    def of_streams(self, streams: Estimate) -> Estimate:
        """Of an hour of live audio on a machine that carries so many streams."""
        return self._per(streams.scaled(self.duty))

    def of_files(self, audio_s_per_s: Estimate) -> Estimate:
        """Of an hour of audio sent as files, so many of whose seconds are finished each second."""
        return self._per(audio_s_per_s)

    def _per(self, at_once: Estimate) -> Estimate:
        """`at_once`: hours of audio finished in an hour. Its interval is turned round; no upper end leaves 0 below."""
        if not at_once.value:
            return Estimate.missing(at_once.reason or "nothing was finished")
        hour = HOUR_S if self.price_per_hour is None else self.price_per_hour
        if not at_once.low or at_once.high is None:
            return Estimate(hour / at_once.value, n=at_once.n, reason="what was finished has no interval above 0")
        low = 0.0 if math.isinf(at_once.high) else hour / at_once.high
        return Estimate(hour / at_once.value, low, hour / at_once.low, at_once.n)


def terms_of(folder: Path, infos: Sequence[Mapping[str, Any]]) -> Terms:
    """As the sweep's grid in `folder` has them now, else as all the trials have them; trials that differ have no price.

    A price changes no measurement: to change it in the sweep file and run the sweep again makes the page anew. Raises
    UsageError for a price or duty that cannot be one.
    """
    asked = [{name: (info.get("asked") or {}).get(name) for name in parameters.PRICE_PARAMETERS} for info in infos]
    given = asked[0] if asked and all(one == asked[0] for one in asked) else {}
    given |= _of_grid(folder / store.GRID)
    found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    parameters.check_price(found)
    return Terms(
        price_per_hour=float(found["price_per_hour"]) if "price_per_hour" in found else None,
        currency=str(found.get("currency", USUAL_CURRENCY)),
        source=str(found.get("price_source", "")),
        duty=float(found.get("duty", 1.0)),
    )


def _of_grid(path: Path) -> dict[str, Any]:
    """What the grid says for all its trials; all names, so that a price that was taken out is gone."""
    try:
        raw = yaml_text.parse(yaml_text.read(path), source=path)
    except FileNotFoundError:
        return {}
    common = (raw.get("parameters") or {}) if isinstance(raw, dict) else {}
    blocks = (raw.get("grids") or []) if isinstance(raw, dict) else []
    if any(name in block for block in blocks for name in parameters.PRICE_PARAMETERS):
        return {}  # each trial has its own
    return {name: common.get(name) for name in parameters.PRICE_PARAMETERS}
