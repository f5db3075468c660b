"""The verbs `warmup`, `bench`, `throughput` and `remote`: a load on a running server, and what it showed, at once.

For a look, not for the record: no notebook, no report, and the server is taken as it is. The load is load.py's and
every number that of measures.py or, for streams, streams/measures.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from yapbench import devices, live, load, machine, measures, store
from yapbench.errors import ExitCode, ServerDied
from yapbench.measures import Point
from yapbench.monitoring.monitor import Monitor
from yapbench.schema import MACHINE, UTTERANCES
from yapbench.store import TrialData
from yapbench.streams import measures as stream_measures
from yapbench.sweeping import new_console
from yapbench.trial import CHECKOUT
from yapbench.verbs import records, spoken, target
from yapbench.verbs.options import Options
from yapbench.verbs.records import Record
from yapbench.verbs.target import Target

LOOKS = CHECKOUT / "runs" / "looks"
"""Each verb's last run for each server."""

_REPLICATES = 200
"""Of the bootstrap: enough for the intervals in a CSV, done in a blink."""


def warmup(server: str, options: Options) -> int:
    """One clip, alone, with its times: the first answer of a cold server, or a sign of life.

    A single clip has a line and no table, but with `--verbose`.
    """
    return _run("warmup", target.of_options(server, options), options, _Usual(requests=1), verbose=True)


def bench(server: str, options: Options) -> int:
    """A number of requests, or of streams, at one concurrency, or at several."""
    return _bench("bench", target.of_options(server, options), options)


def throughput(server: str, options: Options) -> int:
    """As many requests, or streams, as get through in some seconds."""
    place = target.of_options(server, options)
    usual = _Usual(duration_s=30.0 if place.streams else 10.0, concurrency="8", warmup=8)
    return _run("throughput", place, options, usual)


def remote(server: str, options: Options) -> int:
    """`bench` against the host that .env names."""
    return _bench("remote", target.of_environment(server, options), options)


@dataclass(frozen=True)
class _Usual:
    """A verb's load, where the user does not say."""

    requests: int | None = None
    duration_s: float | None = None
    concurrency: str = "1"
    warmup: int = 0


def _bench(verb: str, place: Target, options: Options) -> int:
    streams = _Usual(requests=20, concurrency="4", warmup=1)  # at live pace that is a minute, too
    return _run(verb, place, options, streams if place.streams else _Usual(requests=50, warmup=8))


def _run(verb: str, server: Target, options: Options, usual: _Usual, *, verbose: bool = False) -> int:
    console = new_console()
    stream = options.stream(server.client) if server.streams else None
    if stream is None:
        options.refuse_streaming(server.client)
    profile = options.profile(**asdict(usual), stream=stream)
    gpu_ids = options.gpu_ids()
    corpus = options.corpus(streams=server.streams, usual=server.usual)
    plan = load.Plan(client=server.client, url=server.url, corpus=corpus, profile=profile)
    clips = f"{len(corpus)} clip{'' if len(corpus) == 1 else 's'} of {corpus.name}"
    console.print(f"{verb} {server.entry.name} at {server.url}: {clips}", soft_wrap=True, highlight=False)
    folder = LOOKS / server.entry.name / verb
    trial, failure = measure(server, plan, folder, console=console, gpu_ids=gpu_ids)
    show = _show_streams if server.streams else _show_requests
    rows, points = show(trial, options, console, verbose=verbose or options.verbose)
    console.print(f"files: {records.write(verb, folder, rows)}", soft_wrap=True)
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(options.output, measures.table(points).to_csv(index=False))
        console.print(f"table: {options.output}", soft_wrap=True)
    if failure is not None:
        raise ServerDied(failure.message)
    return ExitCode.OK if any(row["outcome"] == "ok" for row in rows) else ExitCode.SERVER_FAILED


def _show_requests(
    trial: TrialData, options: Options, console: Console, *, verbose: bool
) -> tuple[Sequence[Record], list[Point]]:
    rows = records.of(trial)
    if verbose:
        records.show_each(rows, console)
    points = measures.points(trial, replicates=_REPLICATES)
    if _is_told(rows, options, verbose=verbose):
        records.show_failures(rows, console)
    else:
        records.show(points, rows, console)
    return rows, points


def _show_streams(
    trial: TrialData, options: Options, console: Console, *, verbose: bool
) -> tuple[Sequence[Record], list[Point]]:
    rows = spoken.of(trial, full_text=options.full_text)
    if verbose:
        for row in rows:
            print(spoken.in_words(row))
    points = stream_measures.points(trial, replicates=_REPLICATES)
    if _is_told(rows, options, verbose=verbose):
        records.show_failures(rows, console)
    else:
        spoken.show(points, devices.during(trial, [point.level for point in points]), rows, console)
    return rows, points


def _is_told(rows: Sequence[Any], options: Options, *, verbose: bool) -> bool:
    """A single one, whose line says it all: a table of medians and tails of one sample would say nothing more."""
    return verbose and len(rows) == 1 and not options.verbose


def measure(
    server: Target, plan: load.Plan, folder: Path, *, console: Console, gpu_ids: Sequence[int] | None = None
) -> tuple[TrialData, load.LoadFailure | None]:
    """Put the plan's load on the server; its rows, in the form that measures.py reads, also as files in `folder`.

    Raises ServerNotReady when nothing answers at the address.
    """
    attached = server.attached()
    settings = (attached.status().get("settings") or {}) if attached else {}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        part = Path(scratch)
        with Monitor(attached or (list), gpu_ids=gpu_ids) as monitor, console.status("starting the load ...") as line:

            def tell(progress: Mapping[str, Any]) -> None:
                line.update(", ".join(f"{name} {value}" for name, value in live.said(progress).items()))

            result = load.run(plan, folder=part, secrets=server.secrets, on_progress=tell)
        watched = attached is not None and attached.pid is not None  # else its CPU time would be stored as zero
        rows = [row for row in monitor.rows() if watched or row["source"] != "server"]
        store.write_table(part / store.MACHINE_FILE, [*rows, *result.machine_rows], MACHINE)
        for name in (store.UTTERANCES_FILE, store.MACHINE_FILE):
            (part / name).replace(folder / name)
    info = {
        "trial_id": folder.name,
        "status": "failed" if result.failure else "done",
        "settings": settings,
        "load": asdict(plan.profile),
        "machine": machine.fingerprint(),
        "points": result.points,
    }
    utterances = store.read_table(folder / store.UTTERANCES_FILE, UTTERANCES)
    samples = store.read_table(folder / store.MACHINE_FILE, MACHINE)
    return TrialData(folder, info, utterances, samples), result.failure
