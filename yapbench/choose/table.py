"""The columns of the one table of all candidates. Knows candidates; the cells are the page's or the notebook's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from yapbench.choose.candidate import Candidate
from yapbench.choose.choice import Choice
from yapbench.choose.use import MEASURES
from yapbench.choose.verdict import number_of
from yapbench.stats import Estimate

NOT_ALONE: Final = Estimate.missing("one stream was not measured")
LOAD: Final = "at the load that it carries"


@dataclass(frozen=True)
class Column:
    """One number of a candidate."""

    title: str
    meaning: str
    of: Callable[[Candidate], Estimate]
    digits: Callable[[float], str] = "{:.0f}".format

    def interval(self, found: Estimate) -> str:
        """ "1.2–3.0", or nothing."""
        if found.low is None or found.high is None:
            return ""
        return f"{self.digits(max(0.0, found.low))}–{self.digits(found.high)}"


def columns(choice: Choice) -> list[Column]:
    """In the order of the table; N* and the load stand before them."""
    memory = "VRAM, MiB" if any(one.on_gpu for one in choice.candidates) else "RSS, MiB"
    cost = MEASURES["cost"].digits
    return [
        Column("WER, %", f"word errors per word, {LOAD}", _number("wer"), "{:.1f}".format),
        Column("EOS p95, ms", f"end of speech to the last final, {LOAD}", _number("eos_p95_ms")),
        Column("TTFP p95, ms", f"beginning of speech to first words, {LOAD}", _number("ttfp_p95_ms")),
        Column("erasure", f"words taken back per word of the finals, {LOAD}", _number("erasure"), "{:.2f}".format),
        Column(
            "EOS p50 alone, ms", "end of speech to the last final with a single stream, median", _alone("eos_p50_ms")
        ),
        Column("TTFP p50 alone, ms", "the same to the first words", _alone("ttfp_p50_ms")),
        Column(memory, f"largest memory of the server's processes, {LOAD}", lambda one: one.memory_mib),
        Column("audio s/s", f"audio seconds finished a second, {LOAD}", lambda one: one.audio_s_per_s, "{:.1f}".format),
        Column(f"cost/h, {choice.terms.unit}", f"for an hour of audio. {choice.terms.words}", _number("cost"), cost),
    ]


def _number(name: str) -> Callable[[Candidate], Estimate]:
    return lambda one: number_of(one, name)


def _alone(name: str) -> Callable[[Candidate], Estimate]:
    return lambda one: one.alone.get(name, NOT_ALONE)
