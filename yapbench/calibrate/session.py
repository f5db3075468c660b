"""One calibration from its plan to its certificate: runs the cases, collects bars and reasons. Writes nothing."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from yapbench import certificate, machine, provenance
from yapbench.calibrate import bars, plan
from yapbench.calibrate.bars import Bar
from yapbench.calibrate.measure import Bench, most_streams_possible
from yapbench.calibrate.places import Places, kept_to, places
from yapbench.calibrate.plan import CalibrationPlan, SearchCase
from yapbench.calibrate.search import largest
from yapbench.calibrate.values import Health, Paced, on_time
from yapbench.calibrate.verdict import verdict
from yapbench.process import require_linux

TRIES: Final = 3
TRIED_AGAIN_S: Final = 20.0
"""Longer runs are taken as they come: on a shared machine hardly a minute passes without a standstill."""


class Measured(Protocol):
    """What came of a run."""

    @property
    def health(self) -> Health:
        """Whether it may be believed."""
        ...


Run = TypeVar("Run", bound=Measured)


@dataclass(frozen=True)
class Found:
    """All that a calibration came to."""

    bars: list[Bar]
    runs: list[Health]
    most_streams: dict[str, int]
    repeated: list[str]
    """Names of the runs that were thrown away because the machine stood still in them."""


def measure(asked: CalibrationPlan, at: Places, say: Callable[[str], None]) -> Found:
    """Run every case in turn; `say` is told which before each. Raises ServerError, LoadFailed."""
    found, paced, runs, repeated = list[Bar](), list[Paced](), list[Health](), list[str]()
    tries = TRIES if asked.seconds <= TRIED_AGAIN_S else 1
    with tempfile.TemporaryDirectory(prefix="yapbench-calibrate-") as name, kept_to(at.target):
        bench = Bench(at, Path(name))
        for stream_case in asked.streams:
            say(f"H1-H3: {stream_case.words}")
            paced.append(undisturbed(partial(bench.streams, stream_case, seconds=asked.seconds), say, repeated, tries))
            runs.append(paced[-1].health)
            found += bars.of_streams(paced[-1])
        found += bars.of_all_streams(paced)
        for delay_case in asked.delays:
            say(f"H4: injected {delay_case.words}")
            pairs = undisturbed(partial(bench.delays, delay_case, seconds=asked.seconds), say, repeated, tries)
            runs.append(pairs.health)
            found += bars.of_delays(delay_case, pairs)
        if asked.freeze_s is not None:
            say(f"H5: server frozen {asked.freeze_s:g} s")
            frozen = undisturbed(
                partial(bench.freeze, asked.freeze_s, seconds=max(10.0, asked.seconds)), say, repeated, tries
            )
            runs.append(frozen.health)
            found.append(bars.of_freeze(asked.freeze_s, frozen))
        most = {case: _search(bench, case, say, runs) for case in asked.searches}
        found += [bars.of_search(case, streams) for case, streams in most.items()]
    return Found(found, runs, bars.most_streams(most), repeated)


def undisturbed(once: Callable[[], Run], say: Callable[[str], None], repeated: list[str], tries: int) -> Run:
    """A run during which the machine did not stand still, or the last of `tries`. What it found plays no part in that.

    `repeated` gets the name of each run that was thrown away.
    """
    for left in reversed(range(tries)):
        found = once()
        if not found.health.stood_still or not left:
            break
        say("again: the machine stood still")
        repeated.append(found.health.name)
    return found


def run(asked: CalibrationPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """The certificate of this machine, as `certificate.keep` takes it. Raises UsageError where this is not Linux."""
    require_linux()
    at = places()
    found = measure(asked, at, say)
    word, reasons = verdict(found.runs, note="; ".join(filter(None, [at.note, _again(found.repeated)])))
    return {
        "certificate_version": certificate.VERSION,
        "verdict": str(word),
        "reasons": reasons,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": asked.seconds,
        "quick": asked.quick,
        "machine_class": machine.machine_class(),
        "code_sha256": certificate.code_sha256(),
        "versions": {
            **provenance.versions(),
            "picows": metadata.version("picows"),
            "kernel": machine.this_machine().kernel,
        },
        "cpus": {"target": list(at.target), "load": [at.load]},
        "bars": [asdict(bar) for bar in in_order([*found.bars, *_missing(asked)])],
        "most_streams": found.most_streams,
    }


def _again(names: list[str]) -> str:
    """How often which run was thrown away, in words."""
    counts = Counter(names).items()
    return "; ".join(f"{name}: repeated {count} x, the machine had stood still" for name, count in counts)


def in_order(found: list[Bar]) -> list[Bar]:
    """By the bar's number; those of one number as they were measured."""
    return sorted(found, key=lambda bar: int(bar.bar.removeprefix("H")))


def _missing(asked: CalibrationPlan) -> list[Bar]:
    whole = plan.whole()
    return bars.left_out(
        [case for case in whole.streams if (case.words not in {one.words for one in asked.streams})],
        [case for case in whole.delays if case not in asked.delays],
        whole.freeze_s if asked.freeze_s is None else None,
        note="left out of a quick calibration",
    )


def _search(bench: Bench, case: SearchCase, say: Callable[[str], None], runs: list[Health]) -> int | None:
    """Bar H9. A client that is late here is what is looked for; that others used its CPU counts as anywhere."""

    def once(streams: int) -> bool:
        found = bench.crowd(url, case, streams)
        if found is not None:
            # Late is what it is to become here, so neither that nor an excuse for it is a verdict.
            runs.append(replace(found.health, problems=(), standstill="", bare_p99_ms=None))
        return on_time(found)

    with bench.sink() as url:

        def fits(streams: int) -> bool:
            say(f"H9: {streams} streams x {case.frame_ms:g} ms")
            # Twice: one hiccup of a shared machine is not the client's limit.
            return once(streams) or (case.thorough and once(streams))

        return largest(fits, first=case.first, most=most_streams_possible(), thorough=case.thorough)
