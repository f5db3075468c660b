"""What an hour of recognised audio costs: GPU time, energy, and money where the trial knows a price. Pure.

Cost counts the audio that was finished, so that it already holds how many streams there were and how much each of them
spoke. Knows a trial's facts and points; draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from yapbench.measures import Point
from yapbench.stats import Estimate
from yapbench.validity import spans_of

MEASURES: Final = {
    "gpu_s_per_audio_s": "time in which the server's GPUs computed, by their own counter, per finished second of audio",
    "energy_wh_per_audio_h": "energy of the server's GPUs per finished hour of audio",
    "cost_per_audio_h": "price of an hour of the machine per hour of audio finished in it",
}
PRICE: Final = "price_per_hour"
"""Of the whole machine that the server ran on; a fact of the trial that the user gave, or None."""
CURRENCY: Final = "currency"
USUAL_CURRENCY: Final = "$"

CAUTIOUS_SHARE: Final = 0.6
"""Of the streams that a setting carries at most: what an operator who wants a margin would run."""


def of_point(
    info: Mapping[str, Any], base: Point, *, finished_s: float, audio_s_per_s: Estimate
) -> dict[str, Estimate]:
    """MEASURES of one point, whose resources are those of `base`.

    `finished_s`: audio of the streams that ended well, warm-up included; `audio_s_per_s` without it, with its interval.
    """
    spans_s = sum(end - start for start, end in spans_of(info, base.level, base.repeat)) / 1e9
    busy, energy = base["gpu_percent"], base["energy_wh"]
    none = Estimate.missing("no stream ended well")
    values = {"gpu_s_per_audio_s": busy, "energy_wh_per_audio_h": energy}
    if busy.value is not None:
        values["gpu_s_per_audio_s"] = busy.scaled(spans_s / 100 / finished_s) if finished_s else none
    if energy.value is not None:
        values["energy_wh_per_audio_h"] = energy.scaled(3600 / finished_s) if finished_s else none
    return values | {"cost_per_audio_h": per_audio_hour(price_of(info), audio_s_per_s)}


def price_of(info: Mapping[str, Any]) -> float | None:
    """What an hour of the trial's machine costs, where that was given."""
    price = info.get(PRICE)
    return None if price is None else float(price)


def currency_of(infos: Iterable[Mapping[str, Any]]) -> str:
    """The currency of all these trials' prices; "" where one has no price, or another currency."""
    found = {str(info.get(CURRENCY) or USUAL_CURRENCY) if price_of(info) is not None else "" for info in infos}
    return found.pop() if len(found) == 1 else ""


def per_audio_hour(price: float | None, audio_s_per_s: Estimate) -> Estimate:
    """The price of an hour divided by the hours of audio finished in it, the interval turned round.

    Of a lower bound of 0 there is no upper one, so no interval is told.
    """
    if price is None:
        return Estimate.missing("no price of an hour of this machine was given")
    if not audio_s_per_s.value:
        return Estimate.missing(audio_s_per_s.reason or "no stream ended well")
    value = price / audio_s_per_s.value
    if not audio_s_per_s.low or not audio_s_per_s.high:
        return Estimate(value, n=audio_s_per_s.n, reason="the audio finished per second has no interval above 0")
    return Estimate(value, price / audio_s_per_s.high, price / audio_s_per_s.low, audio_s_per_s.n)
