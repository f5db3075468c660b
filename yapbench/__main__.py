"""The command line. Every verb forwards to one module; nothing is decided here but exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from yapbench.errors import ExitCode, YapbenchError
from yapbench.trial import CHECKOUT

app = App(
    name="yapbench",
    help="Sweep the settings of real speech servers and publish latency, accuracy and memory reports.",
    version="0.1.0",
)

RUNS = CHECKOUT / "runs"

Flags = Annotated[str, Parameter(allow_leading_hyphen=True)]
"""Passed on as they are: a server's flags are the server's, a notebook's the notebook's."""


@app.command
def doctor() -> int:
    """Look at this machine: what is there, what is missing, and the command that mends each finding."""
    from yapbench import doctor as module

    return module.report(module.findings())


@app.command
def install(server: str) -> None:
    """Make the environment that SERVER needs (a no-op where it stands already)."""
    from yapbench import envs

    envs.install(server)


@app.command(help_flags=())
def serve(server: str, *flags: Flags) -> int:
    """Run SERVER in the foreground with its own flags: `yapbench serve smart_turn --port=8001 --window-ms=2`.

    `yapbench serve SERVER --help` lists them.
    """
    from yapbench import command

    return command.foreground(server, list(flags))


@app.command(help_flags=())
def run(server: str, *flags: Flags) -> int:
    """Measure SERVER once, through its notebook: `yapbench run smart_turn --window-ms=2 --concurrency=1,4`.

    Flags are the notebook's parameters; `yapbench run SERVER --help` lists them.
    """
    from yapbench import single

    return single.run(server, list(flags), runs_dir=RUNS)


@app.command
def sweep(file: Path, *, dry_run: bool = False, jobs: int = 1, retry_failed: bool = False, runs: Path = RUNS) -> int:
    """Run a sweep file and write its report. The same command again resumes: finished trials are kept.

    Parameters
    ----------
    file
        A YAML grid, such as sweeps/smart_turn-quick.yaml.
    dry_run
        List the trials and an estimate; run nothing.
    jobs
        Trials at a time. More than one disturbs latencies on one machine: for accuracy sweeps.
    retry_failed
        Run failed trials again; without it a failure is a result.
    runs
        Where results go.
    """
    from yapbench import sweeping
    from yapbench.sweep import Sweep

    grid = Sweep.load(file)
    if dry_run:
        sweeping.show(grid, sweeping.plan(grid, runs_dir=runs), sweeping.new_console(), folder=runs / grid.name)
        return ExitCode.OK
    return sweeping.run(grid, runs_dir=runs, jobs=jobs, retry_failed=retry_failed)


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
