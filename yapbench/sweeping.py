"""The verb `sweep`: list, estimate, run what is not finished, show progress, write the report.

Only says what happens; the grid is sweep.py's, the execution an engine's.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from yapbench import store
from yapbench.engines import attempts
from yapbench.engines.job import Done, Engine, Job
from yapbench.engines.local import LocalEngine
from yapbench.engines.table import live_table
from yapbench.engines.wanting import wants_gpu
from yapbench.errors import ExitCode, NothingRan
from yapbench.sweep import LEVEL_AXIS, Sweep, estimate_s, locked, planned_requests, seconds_per_request
from yapbench.trial import CHECKOUT, Trial, is_for_any_server

FIRST_GUESS_S = 0.05
"""Seconds a request until a finished trial of the same sweep has told better; said as a guess."""


def new_console() -> Console:
    """As wide as the terminal; in a log or a pipe wide enough that no trial id is cut."""
    return Console() if sys.stdout.isatty() else Console(width=160)


@dataclass(frozen=True)
class Planned:
    """A trial of the sweep with its parameters, its folder and what stands there already."""

    trial: Trial
    job: Job
    finished: bool


def plan(sweep: Sweep, *, runs_dir: Path, retry_failed: bool = False, engine: Engine | None = None) -> list[Planned]:
    """Every trial of the sweep; a failed one counts as finished (it is a result) unless `retry_failed`.

    A trial's name depends on the machine: `engine` (default: this one, one run at a time) knows which.
    """
    planned = []
    trials, place = sweep.trials(), runs_dir.resolve() / sweep.name
    names = (engine or LocalEngine()).identify(trials, runs=place)
    for chosen, trial, name in zip(sweep.parameter_sets(), trials, names, strict=True):
        finished = store.finished(place / name)
        if finished and retry_failed:
            finished = store.read_info(place / name)["status"] == "done"
        named = {"server": trial.server} if is_for_any_server(trial.notebook) else {}
        parameters = chosen | named | {"sweep": sweep.name}
        job = Job(trial.notebook, trial.server, parameters, place / name, on_gpu=wants_gpu(trial))
        planned.append(Planned(trial, job, finished))
    return planned


def describe(planned: Planned, axes: list[str]) -> str:
    """A trial in a few words: the values on the sweep's axes."""
    chosen = {name: planned.job.parameters[name] for name in axes if name in planned.job.parameters}
    return " ".join(f"{name}={value}" for name, value in chosen.items()) or "(one setting)"


def total_estimate_s(planned: list[Planned], *, per_request_s: float) -> float:
    """Seconds until every unfinished trial is done."""
    return sum(estimate_s(item.trial, per_request_s=per_request_s) for item in planned if not item.finished)


def show(sweep: Sweep, planned: list[Planned], console: Console, *, folder: Path) -> None:
    """`--dry-run`: the trials, which are finished, and an estimate with where it comes from."""
    table = Table(title=f"{sweep.name}: {len(planned)} trials", title_justify="left", box=SIMPLE_HEAD)
    for column in ("trial", "state", *sweep.axis_names, LEVEL_AXIS, "requests"):
        table.add_column(column, no_wrap=True)
    for item in planned:
        search = item.trial.search
        named = ",".join(f"{level:g}" for level in item.trial.profile.levels)
        levels = f"searched up to {search.most}" if search else named
        values = [str(item.job.parameters.get(name, "")) for name in sweep.axis_names]
        state = "finished" if item.finished else "to run"
        table.add_row(item.job.folder.name, state, *values, levels, str(planned_requests(item.trial) or "by time"))
    console.print(table)
    measured = seconds_per_request(folder)
    seconds = total_estimate_s(planned, per_request_s=measured or FIRST_GUESS_S)
    source = "from this sweep's finished trials" if measured else f"a guess at {FIRST_GUESS_S * 1000:.0f} ms a request"
    points = sum(map(_points, (item.trial for item in planned)))
    console.print(f"{points} points; about {_clock(seconds)} to go ({source})")


def _points(trial: Trial) -> int:
    """How many load levels will be measured, each repeat by itself; of a search at most."""
    return trial.search.most_probes if trial.search else len(trial.profile.levels) * trial.profile.repeats


def run(
    sweep: Sweep,
    *,
    runs_dir: Path,
    engine: Engine | None = None,
    retry_failed: bool = False,
    calibrate: bool = False,
    console: Console | None = None,
) -> ExitCode:
    """Run what is not finished and write the report; prints the report's path last.

    `engine`: where; this machine, one run at a time, when None. `calibrate`: a sweep that streams makes a certificate
    first where there is none. Raises NothingRan when the grid is empty, UsageError when somebody else is running this
    sweep, or for more streams than the certificate allows.
    """
    console = console or new_console()
    folder = runs_dir.resolve() / sweep.name
    with locked(folder), engine or LocalEngine() as engine:
        planned = plan(sweep, runs_dir=runs_dir, retry_failed=retry_failed, engine=engine)
        if not planned:
            raise NothingRan(f"{sweep.name}: exclude leaves no trial")
        if sweep.text:
            store.write_text(folder / store.GRID, sweep.text)
        lost = finish(planned, sweep.axis_names, title=sweep.name, console=console, engine=engine, calibrate=calibrate)
    return write_report(folder, console, lost=lost)


def finish(
    planned: list[Planned],
    axes: list[str],
    *,
    title: str,
    console: Console,
    engine: Engine | None = None,
    calibrate: bool = False,
) -> int:
    """Run those of the trials that are not finished, in their order, and say of each how it ended.

    Returns how many have no result: lost again and again with the process or machine they ran on.
    """
    engine = engine or LocalEngine()
    todo = [item for item in planned if not item.finished]
    console.print(f"{title}: {len(planned)} trials, {len(planned) - len(todo)} finished already")
    engine.check_load([item.trial for item in todo], console, calibrate=calibrate)
    for sweep in {item.job.folder.parent for item in planned}:
        attempts.clear(sweep)
    words = {item.job.folder: describe(item, axes) for item in planned}
    started_s, ended, lost = time.monotonic(), 0, 0
    if todo and engine.words():
        console.print(engine.words(), soft_wrap=True)
    with live_table(console, engine, words):
        for done in engine.run([item.job for item in todo]):
            ended += 1
            lost += done.status == "lost"
            left_s = (time.monotonic() - started_s) / ended * (len(todo) - ended)
            console.print(_ended_line(done, words[done.job.folder], ended, len(todo), left_s), soft_wrap=True)
    for sweep in {item.job.folder.parent for item in planned}:
        attempts.clear(sweep)
    return lost


def write_report(folder: Path, console: Console, *, lost: int = 0) -> ExitCode:
    """Build the page of a sweep's folder, print its path, and say by exit code what was wrong with the trials.

    `lost`: trials that have no result, although they were tried.
    """
    if lost and not any(folder.glob(f"*/{store.TRIAL}")):
        raise NothingRan(f"{folder.name}: no trial has a result; the same command tries them again")
    from yapbench import report  # figures need a second of imports; listing a sweep does not

    page = report.build(folder)
    trials = store.read_sweep(folder)
    console.print(str(page.relative_to(CHECKOUT) if page.is_relative_to(CHECKOUT) else page), soft_wrap=True)
    if lost:
        console.print(f"{lost} trials have no result: the same command tries them again")
        return ExitCode.INVALID_RUN
    if any(trial.info["status"] == "failed" for trial in trials):
        return ExitCode.SERVER_FAILED
    return ExitCode.OK if report.any_valid(trials) else ExitCode.INVALID_RUN


def _ended_line(done: Done, words: str, ended: int, total: int, left_s: float) -> str:
    error = done.error.splitlines()[0] if done.error else ""
    where = f" on {done.where}" if done.where else ""
    state = f"done{where}{f', but {error}' if error else ''}" if done.status == "done" else f"FAILED{where}: {error}"
    left = f", about {_clock(left_s)} left" if ended < total else ""
    return f"[{ended}/{total}] {words}: {state}{left}"


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
