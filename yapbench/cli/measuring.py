"""Verbs that measure and those that show what was measured."""

from __future__ import annotations

import sys
from pathlib import Path

from yapbench.calibrate.flags import Flags as Calibration
from yapbench.cli.application import Flags, app
from yapbench.engines.choosing import Name
from yapbench.errors import ExitCode, UsageError
from yapbench.trial import CHECKOUT

RUNS = CHECKOUT / "runs"
CALIBRATION = Calibration()


@app.command(help_flags=())
def run(server: str, *flags: Flags) -> int:
    """Measure SERVER once, through its notebook: `yapbench run smart_turn --window-ms=2 --concurrency=1,4`.

    Flags are the notebook's parameters; `yapbench run SERVER --help` lists them.
    """
    from yapbench import single

    return single.run(server, list(flags), runs_dir=RUNS)


@app.command
def sweep(
    file: Path,
    *,
    dry_run: bool = False,
    engine: Name = "local",
    jobs: int | None = None,
    gpus_per_run: int | None = None,
    cpus_per_run: int | None = None,
    ray_address: str | None = None,
    out: str | None = None,
    retry_failed: bool = False,
    calibrate: bool = True,
    baseline: str | None = None,
    threshold: float = 0.05,
    runs: Path = RUNS,
) -> int:
    """Run a sweep file and write its report. The same command again resumes: finished trials are kept.

    Parameters
    ----------
    file
        A YAML grid, such as sweeps/smart_turn-quick.yaml.
    dry_run
        List the trials and an estimate; run nothing.
    engine
        Where trials run: local is this machine, ray a cluster (docs/scaling.md).
    jobs
        Trials at a time on this machine. Default: one on each GPU that YAPBENCH_GPUS leaves, one where there is none.
        More than that share CPUs and GPUs, so that points are DISTURBED: for accuracy sweeps.
    gpus_per_run
        GPUs of a trial whose server may use one. Default: 1 where there are several or Ray has any.
    cpus_per_run
        ray: CPUs of a trial. Default: with GPUs their part of the node's, else all of a node's.
    ray_address
        ray: the head's host:port. Default: RAY_ADDRESS, else a cluster of this machine for this sweep.
    out
        ray: a URL for results (s3://bucket/runs) where no folder is shared; they are brought to --runs as well.
    retry_failed
        Run failed trials again; without it a failure is a result.
    calibrate
        A sweep that streams makes a quick certificate first, where this machine has none (`yapbench calibrate`).
    baseline
        A folder of results to compare with afterwards; or a commit, whose server is then measured in turn with the
        one that stands here, three rounds at the least. Exit code 4 when something got worse.
    threshold
        The change of a time or rate that matters: 0.05 is 5 %.
    runs
        Where results go.
    """
    from yapbench import sweeping
    from yapbench.engines import choosing
    from yapbench.sweep import Sweep

    grid = Sweep.load(file)
    chosen = choosing.engine(
        engine,
        jobs=jobs,
        gpus_per_run=gpus_per_run,
        cpus_per_run=cpus_per_run,
        ray_address=ray_address,
        out=out,
        calibrate=calibrate,
    )
    if baseline is not None:
        if engine != "local" or jobs not in (None, 1):
            raise UsageError("--baseline measures both sides in turn in one place: without --engine ray and --jobs")
        from yapbench import baseline as module

        console = sweeping.new_console()
        options = module.Options(threshold=threshold, retry_failed=retry_failed, calibrate=calibrate)
        return module.sweep(grid, baseline, runs_dir=runs, options=options, dry_run=dry_run, console=console)
    if dry_run:
        with chosen:
            planned = sweeping.plan(grid, runs_dir=runs, engine=chosen)
        sweeping.show(grid, planned, sweeping.new_console(), folder=runs / grid.name)
        return ExitCode.OK
    return sweeping.run(grid, runs_dir=runs, engine=chosen, retry_failed=retry_failed, calibrate=calibrate)


@app.command
def calibrate(*, flags: Calibration = CALIBRATION) -> int:
    """Measure this machine's load generator on itself and keep its certificate. 5: it could not be believed."""
    from yapbench import sweeping
    from yapbench.calibrate import command

    return command.run(flags, console=sweeping.new_console())


@app.command
def report(folder: Path, *, publish: Path | None = None) -> int:
    """Build the page of a sweep's folder again from its raw rows.

    Parameters
    ----------
    folder
        runs/<sweep>.
    publish
        A site folder, such as reports/: the page, its data and its notebooks are copied there and its index rebuilt.
    """
    from yapbench import report as module
    from yapbench import sweeping

    if publish is not None:
        print(module.publish(folder, publish))
        return ExitCode.OK
    return sweeping.write_report(folder, sweeping.new_console())


@app.command
def compare(
    before: str,
    after: str,
    *,
    name: str | None = None,
    threshold: float = 0.05,
    out: Path | None = None,
    runs: Path = RUNS,
) -> int:
    """Say what got better or worse from BEFORE to AFTER: folders of sweeps, or commits. 4: something got worse.

    Parameters
    ----------
    name
        Of the sweep, where BEFORE and AFTER are commits that measured several.
    threshold
        The change of a time or rate that matters: 0.05 is 5 %.
    out
        Where the page goes. Default: compare.html in AFTER's folder.
    runs
        Where results lie.
    """
    from yapbench import sweeping
    from yapbench.compare import command

    return command.run(
        before, after, runs_dir=runs, sweep=name, out=out, threshold=threshold, console=sweeping.new_console()
    )


@app.command(help_flags=())
def capacity(server: str, *flags: Flags) -> int:
    """Search how many streams SERVER keeps within the SLO: `yapbench capacity fastconformer --model=tiny --most=64`.

    Flags are those of notebooks/80_capacity.ipynb and the server's; `yapbench capacity SERVER --help` lists them.
    """
    from yapbench import single

    return single.capacity(server, list(flags), runs_dir=RUNS)


@app.command
def export(folder: Path, *, out: Path | None = None) -> int:
    """Write a sweep's points and utterances as CSV and Parquet, for other tools and notebooks/90_compare.ipynb.

    Parameters
    ----------
    folder
        runs/<sweep>, or a published one.
    out
        Where the files go. Default: export/ in the folder.
    """
    from yapbench import export as module
    from yapbench.export.reading import left_out

    target = out or folder / "export"
    for path in module.export(folder, target):
        print(path)
    for line in left_out(target):
        print(f"yapbench: {line}", file=sys.stderr)
    return ExitCode.OK
