"""Draws delays and faults with a seed. Knows no route: it says what shall go wrong, `app.py` does it."""

from __future__ import annotations

import math
import random
from typing import Literal

from servers.echo.settings import Settings

Fault = Literal["error", "garbage", "drop", "never_final", "half_close", "wrong", "crosstalk"]


class Chance:
    """The same seed gives the same sequence of draws; the order of arrival says who gets which."""

    def __init__(self, settings: Settings) -> None:
        self._sigma = settings.delay_sigma
        self._delays, self._faults = random.Random(settings.seed), random.Random(settings.seed + 1)
        self._rates: list[tuple[Fault, float]] = [
            ("error", settings.error_rate),
            ("garbage", settings.garbage_rate),
            ("drop", settings.drop_rate),
            ("never_final", settings.never_final_rate),
            ("half_close", settings.half_close_rate),
            ("wrong", settings.wrong_rate),
            ("crosstalk", settings.crosstalk_rate),
        ]

    def delay_s(self, median_ms: float) -> float:
        """Seconds: the median itself, or log-normal around it."""
        spread = math.exp(self._sigma * self._delays.gauss(0.0, 1.0)) if self._sigma else 1.0
        return median_ms / 1000 * spread

    def fault(self) -> Fault | None:
        """What goes wrong with the next answer, if anything. At most one thing."""
        draw = self._faults.random()
        for fault, rate in self._rates:
            if draw < rate:
                return fault
            draw -= rate
        return None
