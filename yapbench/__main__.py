"""The command line. Every verb forwards to one module; nothing is decided here but exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from yapbench.calibrate.flags import Flags as Calibration
from yapbench.engines.choosing import Name
from yapbench.errors import ExitCode, UsageError, YapbenchError
from yapbench.trial import CHECKOUT
from yapbench.verbs.options import Options

app = App(
    name="yapbench",
    help="Sweep the settings of real speech servers and publish latency, accuracy and memory reports.",
    version="0.1.0",
)

RUNS = CHECKOUT / "runs"
DEFAULTS = Options()
CALIBRATION = Calibration()

Flags = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""Passed on as they are: a server's flags are the server's, a notebook's the notebook's."""


@app.command
def doctor() -> int:
    """Look at this machine: what is there, what is missing, and the command that mends each finding."""
    from yapbench import doctor as module

    return module.report(module.findings())


@app.command(help_flags=())
def install(server: str, *flags: Flags) -> None:
    """Make the environment that SERVER needs with its own flags: `yapbench install smart_turn --model=v2`.

    A no-op where it stands already.
    """
    from yapbench import envs

    envs.install(server, list(flags))


@app.command(help_flags=())
def serve(server: str, *flags: Flags) -> int:
    """Run SERVER in the foreground with its own flags: `yapbench serve smart_turn --port=8001 --window-ms=2`.

    `yapbench serve SERVER --help` lists them.
    """
    from yapbench import command

    return command.foreground(server, list(flags))


@app.command(help_flags=())
def up(server: str, *flags: Flags) -> int:
    """Start SERVER so that it stays, with its own flags: `yapbench up smart_turn --window-ms=2`; `--follow` its log."""
    from yapbench.verbs import serving

    return serving.up(server, list(flags))


@app.command(help_flags=())
def restart(server: str, *flags: Flags) -> int:
    """Stop SERVER and start it with the flags it had, those given now on top; `--follow` its log."""
    from yapbench.verbs import serving

    return serving.restart(server, list(flags))


@app.command
def down(server: str, *flags: Flags) -> int:
    """Stop SERVER; `--purge[=env,logs,weights,caches]` also removes what it leaves (weights and caches: `--yes`)."""
    from yapbench.verbs import purge

    return purge.down(server, list(flags))


@app.command
def status(server: str | None = None) -> int:
    """Say how SERVER, or every one that was up here, stands: health, port, uptime, last lines. 0: it runs, 6: not."""
    from yapbench.verbs import serving

    return serving.status(server)


@app.command
def logs(server: str, *, follow: bool = False, lines: int = 50) -> int:
    """Show what SERVER wrote last.

    Parameters
    ----------
    follow
        Go on until Ctrl+C, which leaves the server alone.
    lines
        How many lines of what is there already.
    """
    from yapbench.verbs import serving

    return serving.logs(server, follow_log=follow, lines=lines)


@app.command
def fetch(server: str, *flags: Flags) -> int:
    """Get SERVER's weights before it is started, and say where they lie. Flags: the server's, `--revision`."""
    from yapbench.verbs import fetch as module

    return module.fetch(server, list(flags))


@app.command
def verify(server: str, *flags: Flags) -> int:
    """Check SERVER (weights, answers) and pack a bundle for a bug report. Flags: `--url`, `--output`, the server's."""
    from yapbench.verbs import verify as module

    return module.verify(server, list(flags))


@app.command
def probe(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Send SERVER, a name or a URL, one clip; show every message in both directions with its time, then the times."""
    from yapbench.verbs import probing

    return probing.probe(server, options)


@app.command
def convo(server: str, /, *, pause_s: float = 1.0, options: Options = DEFAULTS) -> int:
    """Say two utterances (or --n) on one connection to SERVER.

    Parameters
    ----------
    pause_s
        Seconds of nothing between them.
    """
    from yapbench.verbs import convo as module

    return module.convo(server, options, pause_s=pause_s)


@app.command
def idle(
    server: str,
    /,
    *,
    after: Annotated[bool, Parameter(negative="")] = False,
    expect_s: float | None = None,
    tick_s: float | None = None,
    options: Options = DEFAULTS,
) -> int:
    """Open a session with SERVER, say nothing, and see after how long and how it ends it.

    Parameters
    ----------
    after
        Say one utterance first.
    expect_s
        When it should; 2 s and the server's tick beside that, or never, is exit code 6.
    tick_s
        How often the server looks for idle sessions. Default: what its /status says.
    """
    from yapbench.verbs import idle as module

    return module.idle(server, options, after=after, expect_s=expect_s, tick_s=tick_s)


@app.command
def warmup(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Send SERVER one clip and show its times."""
    from yapbench.verbs import quick

    return quick.warmup(server, options)


@app.command
def bench(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Put 50 requests, or 20 streams (or --n), on a running SERVER: p50, p95, EOS, WER, failures, CPU, GPU."""
    from yapbench.verbs import quick

    return quick.bench(server, options)


@app.command
def throughput(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Keep 8 users (or --concurrency) on a running SERVER for 10 s, streams 30 s (or --duration)."""
    from yapbench.verbs import quick

    return quick.throughput(server, options)


@app.command
def remote(server: str, /, *, options: Options = DEFAULTS) -> int:
    """`bench` against RUNPOD_TCP_HOST, RUNPOD_TCP_PORT with RUNPOD_API_KEY of the environment or .env."""
    from yapbench.verbs import quick

    return quick.remote(server, options)


@app.command
def client(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Send SERVER one clip after another and show each answer."""
    from yapbench.verbs import talking

    return talking.client(server, options)


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


def main() -> None:
    """Entry point of `yapbench` and `python -m yapbench`."""
    try:
        answer = app(sys.argv[1:], exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:  # a usage mistake, already printed
        sys.exit(ExitCode.USAGE)
    except YapbenchError as problem:
        print(f"yapbench: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except BrokenPipeError:  # the reader of our output has seen enough (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit stays quiet
        sys.exit(ExitCode.OK)
    except KeyboardInterrupt:
        print("yapbench: stopped; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    sys.exit(answer if isinstance(answer, int) else ExitCode.OK)


if __name__ == "__main__":
    main()
