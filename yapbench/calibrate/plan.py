"""What a calibration runs: which cases, against which target, for how long. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Phasing = Literal["random", "aligned"]
Target = Literal["echo", "sink"]


@dataclass(frozen=True)
class StreamCase:
    """So many streams that speak at once: bars H1 to H3."""

    streams: int
    frame_ms: float
    phases: Phasing = "random"
    target: Target = "echo"
    judged: bool = True
    """Whether a client that is late in it cannot be believed at all; else the case only has a bar to reach."""

    @property
    def words(self) -> str:
        """ "256 streams x 80 ms, random phases"."""
        return f"{self.streams} streams x {self.frame_ms:g} ms, {PHASES[self.phases]}"


PHASES: Final[Mapping[Phasing, str]] = {"random": "random phases", "aligned": "all in phase"}


@dataclass(frozen=True)
class DelayCase:
    """What echo injects before each final: bar H4. `sigma` above 0: log-normal, with `median_ms`."""

    median_ms: float
    sigma: float = 0.0
    streams: int = 64

    @property
    def words(self) -> str:
        """ "100 ms, log-normal 0.5"."""
        return f"{self.median_ms:g} ms{f', log-normal {self.sigma:g}' if self.sigma else ''}"


@dataclass(frozen=True)
class SearchCase:
    """Bar H9: where the search for the most streams of a frame length begins, and whether it goes on upwards."""

    frame_ms: float
    first: int
    seconds: float = 1.5
    thorough: bool = True


@dataclass(frozen=True, kw_only=True)
class CalibrationPlan:
    """All cases of one calibration. `seconds`: of each run of H1 to H5, once everybody speaks."""

    seconds: float
    quick: bool = False
    streams: tuple[StreamCase, ...] = ()
    delays: tuple[DelayCase, ...] = ()
    freeze_s: float | None = None
    """H5: how long the server stands still; None: it is left out."""
    searches: tuple[SearchCase, ...] = ()


SECONDS: Final = 6.0
FULL_SECONDS: Final = 60.0
QUICK_SECONDS: Final = 3.0

# Echo reads each frame in Python: at 1000 streams it would be the bottleneck, and the sink is not. There, and where
# everything is due at once, a client may well be late without being wrong at the loads of the other cases.
STREAMS: Final = (
    StreamCase(64, 20),
    StreamCase(256, 80),
    StreamCase(1000, 80, target="sink", judged=False),
    StreamCase(64, 20, "aligned", judged=False),
    StreamCase(256, 80, "aligned", judged=False),
    StreamCase(1000, 80, "aligned", target="sink", judged=False),
)
DELAYS: Final = (*(DelayCase(ms) for ms in (0, 10, 50, 100, 300)), DelayCase(100, 0.5))


def whole(seconds: float = SECONDS) -> CalibrationPlan:
    """Every bar."""
    searches = (SearchCase(20, 512), SearchCase(80, 1024))
    return CalibrationPlan(seconds=seconds, streams=STREAMS, delays=DELAYS, freeze_s=2.0, searches=searches)


def quick(seconds: float = QUICK_SECONDS) -> CalibrationPlan:
    """A case of H1 to H4 and one look at H9: less than half a minute, for a machine that was never calibrated."""
    searches = (SearchCase(20, 128, 1.0, thorough=False), SearchCase(80, 512, 1.0, thorough=False))
    return CalibrationPlan(
        seconds=seconds,
        quick=True,
        streams=(StreamCase(256, 80, target="sink"),),
        delays=(DelayCase(100, 0.5),),
        searches=searches,
    )


def pacing(seconds: float) -> CalibrationPlan:
    """H1 to H3 alone."""
    return CalibrationPlan(seconds=seconds, streams=STREAMS)
