"""What servers are chosen for, as data: what each use demands, and which numbers decide, in which order.

Of every number less is better. Knows no server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from yapbench.streams.titles import LOW_REVISION
from yapbench.words import ms, rate


@dataclass(frozen=True)
class Measure:
    """A number that servers are compared by."""

    name: str
    """In a sentence and a table's head."""
    unit: str
    """Empty where there is none, and of a cost, whose unit is that of its terms."""
    meaning: str
    digits: Callable[[float], str]


def _amount(value: float) -> str:
    """Three digits of anything from hundredths of a cent to an hour's seconds."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


MEASURES: Final[Mapping[str, Measure]] = {
    "wer": Measure("WER", "%", "word errors per word of the references, after Whisper's normalisation", rate),
    "eos_p95_ms": Measure("EOS p95", "ms", "95 % of the finals come within this time of the end of speech", ms),
    "ttfp_p95_ms": Measure(
        "TTFP p95", "ms", "95 % of the first words are seen within this time of their beginning", ms
    ),
    "erasure": Measure(
        "erasure", "", "words from the first change on, per word of the finals: flicker", "{:.2f}".format
    ),
    "cost": Measure("cost of an hour of audio", "", "what the machine costs in the time it takes", _amount),
}
"""All at the load that a candidate carries."""


@dataclass(frozen=True)
class Demand:
    """A bound that the upper end of a number's interval must keep to."""

    measure: str
    most: float

    @property
    def words(self) -> str:
        """ "EOS p95 at most 500 ms"."""
        one = MEASURES[self.measure]
        return f"{one.name} at most {self.most:g} {one.unit}".strip()


@dataclass(frozen=True)
class Use:
    """What a server is wanted for."""

    key: str
    name: str
    """As a title: "Voice agent"."""
    purpose: str
    """In a sentence: "for a voice agent"."""
    demands: tuple[Demand, ...]
    order: tuple[str, ...]
    """Of those that meet the demands: the first number that tells two of them apart decides between them."""
    why: str


def uses(slo_ms: float = 500.0) -> tuple[Use, ...]:
    """The uses that are judged; `slo_ms`: within what finals are wanted, the target of the searches."""
    return (
        Use(
            "agent",
            "Voice agent",
            "for a voice agent",
            (Demand("eos_p95_ms", slo_ms), Demand("ttfp_p95_ms", 1000.0)),
            ("wer", "eos_p95_ms", "cost"),
            "who answers in time is quick enough; then it counts who hears best",
        ),
        Use(
            "captions",
            "Live captions",
            "for live captions",
            (Demand("ttfp_p95_ms", 2000.0), Demand("erasure", LOW_REVISION)),
            ("ttfp_p95_ms", "wer", "cost"),
            "viewers wait for the first words and are disturbed by words that change",
        ),
        Use(
            "batch",
            "Batch transcription",
            "for batch transcription",
            (),
            ("cost", "wer"),
            "nobody waits: the bill decides, then the words",
        ),
    )
