"""A sweep of this checkout's servers beside the same sweep of another commit's: A, B, A, B.

Each round runs every setting once of both, one right after the other and with the same seed, so that a machine that
slowly gets slower slows both. Knows sweeps and commits; what the two sides differ in, `compare` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from yapbench import checkouts, parameters
from yapbench.errors import ExitCode, NothingRan, UsageError
from yapbench.sweep import Sweep, locked
from yapbench.sweeping import Planned, describe, finish, plan, run, show, write_report
from yapbench.trial import code_sha256, notebook_path

ROUNDS: Final = 3
"""Where the sweep does not ask for more repeats: the least that says how much rounds differ by themselves."""

BEFORE_AFTER: Final = ("server_commit", "seed", "repeats")
"""Parameters that a side sets by itself."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How both sides are run and compared."""

    threshold: float
    """compare's: the change of a time or rate that matters."""
    retry_failed: bool = False
    calibrate: bool = False


def sweep(
    grid: Sweep, baseline: str, *, runs_dir: Path, options: Options, dry_run: bool = False, console: Console
) -> ExitCode:
    """Measure the sweep against `baseline`, a folder of results or a commit; the worst finding is returned.

    Raises UsageError for what is neither, and for a commit whose server cannot run here.
    """
    folder = Path(baseline)
    if not folder.is_dir():
        return against_commit(grid, baseline, runs_dir=runs_dir, options=options, dry_run=dry_run, console=console)
    if dry_run:
        show(grid, plan(grid, runs_dir=runs_dir), console, folder=runs_dir / grid.name)
        return ExitCode.OK
    measured = run(
        grid, runs_dir=runs_dir, retry_failed=options.retry_failed, calibrate=options.calibrate, console=console
    )
    found = compare(folder, runs_dir.resolve() / grid.name, runs_dir=runs_dir, options=options, console=console)
    return measured or found


def against_commit(
    grid: Sweep, ref: str, *, runs_dir: Path, options: Options, dry_run: bool = False, console: Console
) -> ExitCode:
    """Run what is not finished of both sides in turn, then write both reports and their comparison."""
    commit = checkouts.resolve(ref)
    before, after = sides(grid, commit)
    folders = [runs_dir.resolve() / side[0].name for side in (before, after)]
    title = f"{folders[0].name} against {folders[1].name}, {len(before)} rounds"
    axes = [*grid.axis_names, "server_commit", "seed"]
    if dry_run:
        planned = interleaved(before, after, runs_dir=runs_dir)
        console.print(f"{title}: {len(planned)} trials")
        for item in planned:
            state = "finished" if item.finished else "to run"
            console.print(f"{item.trial.trial_id} {state:<8} {item.job.folder.parent.name} {describe(item, axes)}")
        return ExitCode.OK
    with locked(folders[0]), locked(folders[1]):
        planned = interleaved(before, after, runs_dir=runs_dir, retry_failed=options.retry_failed)
        if not planned:
            raise NothingRan(f"{grid.name}: exclude leaves no trial")
        finish(planned, axes, title=title, console=console, calibrate=options.calibrate)
    codes = [write_report(folder, console) for folder in folders]
    found = compare(folders[0], folders[1], runs_dir=runs_dir, options=options, console=console)
    return next((code for code in (*codes, found) if code is not ExitCode.OK), ExitCode.OK)


def compare(before: Path, after: Path, *, runs_dir: Path, options: Options, console: Console) -> ExitCode:
    """Compare two folders; the page lies in the second one."""
    from yapbench.compare import command  # statistics and figures: listing a sweep needs none

    return command.run(
        str(before), str(after), runs_dir=runs_dir, out=None, threshold=options.threshold, console=console
    )


def sides(sweep: Sweep, commit: str) -> tuple[list[Sweep], list[Sweep]]:
    """The rounds of the two sides: `commit`'s server, and ours. Raises UsageError where the sweep varies the rounds."""
    for grid in (sweep, *sweep.more):
        for name in BEFORE_AFTER:
            if name in grid.axes or (name in grid.fixed and name == "server_commit"):
                raise UsageError(f"{sweep.name}: {name} is set by --baseline itself and cannot be in the sweep")
    ours = "-".join(code_sha256(server)[:7] for server in sweep.servers)
    rounds = range(max(ROUNDS, *(int(grid.fixed.get("repeats") or 1) for grid in (sweep, *sweep.more))))
    before = [_round(sweep, k, f"{sweep.name}-{commit[:7]}", {"server_commit": commit}) for k in rounds]
    return before, [_round(sweep, k, f"{sweep.name}-here-{ours}", {}) for k in rounds]


def _round(sweep: Sweep, number: int, name: str, of_side: dict[str, Any]) -> Sweep:
    """One round of one side: every setting once, with that round's seed."""
    declared = parameters.declared(notebook_path(sweep.notebook)).get("seed") or 0

    def grid(one: Sweep) -> Sweep:
        seed = int(one.fixed.get("seed", declared)) + number
        return replace(one, name=name, fixed={**one.fixed, "seed": seed, "repeats": 1, **of_side})

    return replace(grid(sweep), more=[grid(one) for one in sweep.more], text="")


def interleaved(
    before: list[Sweep], after: list[Sweep], *, runs_dir: Path, retry_failed: bool = False
) -> list[Planned]:
    """Round after round, setting after setting: A, then B."""
    planned: list[Planned] = []
    for one, other in zip(before, after, strict=True):
        pairs = zip(
            plan(one, runs_dir=runs_dir, retry_failed=retry_failed),
            plan(other, runs_dir=runs_dir, retry_failed=retry_failed),
            strict=True,
        )
        planned += [item for pair in pairs for item in pair]
    return planned
