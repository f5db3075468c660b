"""Runs one load against one target, with everything beside it that tells whose fault a late frame is.

The load generator is the real one, in its worker process, as in a trial; so is echo. Knows no bar.
"""

from __future__ import annotations

import json
import math
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from yapbench import catalog, load, process, store
from yapbench.calibrate import values
from yapbench.calibrate.bare import Bare, Ticks
from yapbench.calibrate.places import Places
from yapbench.calibrate.plan import DelayCase, SearchCase, StreamCase, Target
from yapbench.calibrate.sink import sink
from yapbench.calibrate.speech import lengths, once
from yapbench.calibrate.values import Delays, Freeze, Health, Paced
from yapbench.calibrate.watch import Watch
from yapbench.corpus import Corpus
from yapbench.errors import ServerDied
from yapbench.load import LoadProfile
from yapbench.monitoring.counters import Samples
from yapbench.monitoring.metronome import Metronome
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import UTTERANCES, Phase

CLIENT: Final = "echo_pcm"
_FRAME_S: Final = 0.08
_DELAY_FRAMES: Final = range(6, 20)
"""H4: utterances of so many frames, all different, so that streams which began together do not end together."""
_CALLS_PER_S: Final = 16.0
_CALL_S: Final = 30 * _FRAME_S  # longer than the freeze: who ends in it had been connected before
_DIAL_AHEAD_S: Final = 0.5
_MOST_STREAMS: Final = 8192
_SPARE_FILES: Final = 256
_DIAL_S: Final[Mapping[Target, float]] = {"echo": 0.004, "sink": 0.0005}
"""Time that one stream of many takes to be connected: so much later does the last one begin than the first."""
_START_S: Final = 8.0
_PREPARE_S: Final = 0.003
"""Longest times that a load process takes to start, and to encode what one stream says."""


@dataclass(frozen=True)
class Run:
    """What one load left behind."""

    rows: pd.DataFrame
    samples: Samples
    ticks: Ticks
    points: list[dict[str, Any]]


class _NeverEnds(Exception):
    """A load that takes far longer than it was to take: its client is hopelessly late."""


class Bench:
    """Where calibration happens: its CPUs and a folder for files. Each method is one run."""

    def __init__(self, places: Places, folder: Path) -> None:
        self._places, self._folder = places, folder

    def streams(self, case: StreamCase, *, seconds: float) -> Paced:
        """H1 to H3: all speak at once for `seconds`, connecting not counted."""
        with self._target(case.target, seconds=seconds) as url:
            found = self._together(url, case, seconds=seconds, bare=True)
        return values.paced(case, found.rows, found.samples, found.ticks, seconds=seconds)

    def delays(self, case: DelayCase, *, seconds: float) -> Delays:
        """H4: users who speak one utterance after another, each final delayed by echo."""
        corpus = lengths([frames * _FRAME_S for frames in _DELAY_FRAMES], self._folder)
        profile = LoadProfile(
            levels=(case.streams,), duration_s=seconds, warmup=case.streams, stream=StreamOptions(frame_ms=80)
        )
        settings = {"delay_ms": case.median_ms, "delay_sigma": case.sigma}
        with self._echo(settings) as (url, log):
            found = self._load(url, corpus, profile, bare=False)
        return values.delays(found.rows, read_log(log), self._health(f"injected {case.words}", found))

    def freeze(self, freeze_s: float, *, seconds: float) -> Freeze:
        """H5: calls that arrive whatever happens, and a server that stands still in the middle of them.

        The share of the calls that it touches is `freeze_s` / `seconds`: far above the 1 % that a p99 leaves out.
        """
        corpus = lengths([_CALL_S], self._folder)
        stream = StreamOptions(frame_ms=80, dial_ahead_s=_DIAL_AHEAD_S)
        profile = LoadProfile(kind="poisson", levels=(_CALLS_PER_S,), duration_s=seconds, stream=stream)
        settings = {"stall_at_s": _DIAL_AHEAD_S + _CALL_S + seconds / 2, "stall_for_s": freeze_s}
        with self._echo(settings) as (url, log):
            found = self._load(url, corpus, profile, bare=False)
        # A server that does not read makes its client late, which is no fault of the client.
        health = self._health(f"server frozen {freeze_s:g} s", found, late_counts=False)
        return values.freeze(found.rows, read_log(log), health)

    def crowd(self, url: str, case: SearchCase, streams: int) -> Paced | None:
        """H9: so many streams at once on a sink; None: the client did not nearly come to an end in time."""
        one = StreamCase(streams, case.frame_ms, target="sink")
        try:
            found = self._together(url, one, seconds=case.seconds, bare=False, patience=True)
        except _NeverEnds:
            return None
        return values.paced(one, found.rows, found.samples, found.ticks, seconds=case.seconds)

    def _together(self, url: str, case: StreamCase, *, seconds: float, bare: bool, patience: bool = False) -> Run:
        """`patience`: only as long as a client needs that is nearly on time. Raises _NeverEnds."""
        dialling_s = 0.3 + case.streams * _DIAL_S[case.target]
        long_s = math.ceil((seconds + dialling_s) * 1000 / case.frame_ms) * case.frame_ms / 1000
        rest_s = round(dialling_s, 1)
        corpus = once(case.streams, long_s, self._folder, rest_s=rest_s)
        stream = StreamOptions(frame_ms=case.frame_ms, phases=case.phases)
        profile = LoadProfile(levels=(case.streams,), requests=case.streams, stream=stream)
        limit_s = _START_S + case.streams * _PREPARE_S + long_s + rest_s if patience else None
        return self._load(url, corpus, profile, bare=bare, limit_s=limit_s)

    def _load(self, url: str, corpus: Corpus, profile: LoadProfile, *, bare: bool, limit_s: float | None = None) -> Run:
        cpu = self._places.load
        watch, metronome, loop = Watch(cpu), Metronome([cpu]), Bare(cpu) if bare else None
        ends_s = math.inf if limit_s is None else time.monotonic() + limit_s

        def look(progress: Mapping[str, Any]) -> None:
            if time.monotonic() > ends_s:
                raise _NeverEnds

        with tempfile.TemporaryDirectory(dir=self._folder) as name, watch, metronome, loop or nullcontext():
            plan = load.Plan(client=CLIENT, url=url, corpus=corpus, profile=profile)
            keys = catalog.secrets(catalog.lookup("echo"))
            result = load.run(plan, folder=Path(name), cpus=[cpu], on_progress=look, secrets=keys)
            if result.failure is not None:
                raise ServerDied(f"the calibration's target: {result.failure.message}")
            rows = store.read_table(Path(name) / store.UTTERANCES_FILE, UTTERANCES)
        beside = watch.rows() if self._places.apart else []  # else the target's work would be taken for a stranger's
        machine = pd.DataFrame([*result.machine_rows, *metronome.rows(), *beside])
        return Run(rows, Samples.of(machine), loop.ticks() if loop else Ticks(), result.points)

    def _health(self, name: str, found: Run, *, late_counts: bool = True) -> Health:
        point = found.points[0] if found.points else {"start_ns": 0, "end_ns": 1}
        span = int(point["start_ns"]), int(point["end_ns"])
        counted = found.rows[found.rows["phase"] == Phase.STEADY]
        return values.health_of(name, counted, found.samples, span, late_counts=late_counts)

    @contextmanager
    def _target(self, name: Target, *, seconds: float) -> Iterator[str]:
        if name == "sink":
            with sink(self._places.target) as url:
                yield url
            return
        script = self._folder / "script.json"
        count = math.ceil(5 * (seconds + 2))  # as the sink: something five times a second of audio
        partials = [{"audio_s": round(0.2 * number, 1), "text": str(number)} for number in range(1, count + 1)]
        script.write_text(json.dumps({"partials": partials, "final": "end"}))
        with self._echo({"script": script}) as (url, _):
            yield url

    @contextmanager
    def _echo(self, settings: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
        """(URL, log of what it injected, complete when the block has ended)."""
        log = Path(tempfile.mkdtemp(dir=self._folder)) / "delays.jsonl"  # the folder above it is removed at the end
        with process.launch(
            "echo",
            settings={**settings, "delay_log": log},
            log_path=log.with_name("server.log"),
            cpus=self._places.target,
        ) as server:
            yield server.url, log

    def sink(self) -> AbstractContextManager[str]:
        """A sink for a search: its URL, for as long as the block lasts."""
        return sink(self._places.target)


def most_streams_possible() -> int:
    """As many as this process's files allow."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_STREAMS if most == resource.RLIM_INFINITY else max(1, min(_MOST_STREAMS, most - _SPARE_FILES))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Echo's log of delays and stalls."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
