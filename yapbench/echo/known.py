"""What the numbers of a stream must be when echo says its script: every time in closed form, from audio and options.

For end messages that we send (eos=commit), a pace above 0, and partials that are delayed no longer than finals. Knows
no measurement: whoever compares brings one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from yapbench.corpus import Utterance
from yapbench.echo.script import Told
from yapbench.pacing.streaming import StreamOptions


@dataclass(frozen=True, kw_only=True)
class Known:
    """One utterance as it is sent, what echo says of it, and how late it says it (both medians, without spread)."""

    utterance: Utterance
    told: Told
    options: StreamOptions
    delay_ms: float = 0.0
    partial_delay_ms: float = 0.0

    @property
    def ttfp_ms(self) -> float:
        """From the first word's onset to the first partial. Raises ValueError without words' times."""
        onset_s = min(word.start_s for word in self.utterance.words)
        return self._shown_ms(0) - self._spoken_ms(onset_s)

    @property
    def eos_ms(self) -> float:
        """From the end of speech to the final."""
        return self._final_ms - self._spoken_ms(self._end_s)

    @property
    def emissions_ms(self) -> tuple[float, ...]:
        """Of each word that is ever shown rightly: from its end to the first message that does."""
        ends = [word.end_s for word in self.utterance.words]
        seen = []
        for place in range(len(self.told.words)):
            if place not in self.told.wrong:
                first = place + 1 if place in self.told.revised else place
                at_ms = self._shown_ms(first) if first < len(self.told.partials) else self._final_ms
                seen.append(at_ms - self._spoken_ms(ends[place]))
        return tuple(seen)

    @property
    def _end_s(self) -> float:
        return self.utterance.duration_s if self.utterance.speech_end_s is None else self.utterance.speech_end_s

    @property
    def _final_ms(self) -> float:
        return self._heard_ms(self._end_s) + self.delay_ms

    def _shown_ms(self, place: int) -> float:
        return self._heard_ms(self.told.partials[place][0]) + self.partial_delay_ms

    def _spoken_ms(self, at_s: float) -> float:
        return 1e3 * at_s / self.options.pace

    def _heard_ms(self, at_s: float) -> float:
        """When the frame that holds so much of the audio is due, in ms from t0."""
        frames = max(1, math.ceil(1e3 * at_s / self.options.frame_ms - 1e-6))
        return frames * self.options.frame_ms / self.options.pace
