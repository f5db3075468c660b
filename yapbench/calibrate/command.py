"""The verb `calibrate`: which plan, what is printed, where it is kept, and the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from yapbench import certificate, store
from yapbench.calibrate import plan, session
from yapbench.calibrate.flags import Flags
from yapbench.calibrate.plan import CalibrationPlan
from yapbench.calibrate.show import show
from yapbench.errors import ExitCode, UsageError
from yapbench.validity import Verdict

_LONGEST_S = 3600.0


def run(flags: Flags, *, console: Console) -> ExitCode:
    """Calibrate, print, keep. INVALID_RUN when the client could not be believed; the certificate is kept even so.

    Raises UsageError for a wrong time or two kinds at once, ServerError and LoadFailed when a run itself breaks.
    """
    chosen, output = choose(flags), flags.output
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"--output={output}: there is no folder {output.parent}")
    # With --json nothing but the certificate is on stdout.
    with progress(Console(stderr=True) if flags.json else console) as say:
        found = session.run(chosen, say)
    path = certificate.keep(found)
    if output is not None:
        store.write_json(output, found)
    if flags.json:
        json.dump(found, sys.stdout, indent=1, sort_keys=True)
        print()
    else:
        show(found, console)
        console.print(f"stored at {path}{f' and {output}' if output else ''}", soft_wrap=True)
    return ExitCode.INVALID_RUN if found["verdict"] == Verdict.INVALID else ExitCode.OK


def choose(flags: Flags) -> CalibrationPlan:
    """The plan that was asked for. Raises UsageError."""
    seconds = flags.seconds
    if flags.full and flags.quick:
        raise UsageError("--full and --quick: one of the two")
    if seconds is not None and not 1 <= seconds <= _LONGEST_S:
        raise UsageError(f"--seconds={seconds:g}: a run takes from 1 to {_LONGEST_S:g} seconds")
    if flags.quick:
        return plan.quick(seconds or plan.QUICK_SECONDS)
    return plan.whole(seconds or (plan.FULL_SECONDS if flags.full else plan.SECONDS))


def ensure(console: Console) -> dict[str, Any]:
    """The certificate that stands; where there is none, or only one that nobody should believe, make a quick one."""
    standing = certificate.current()
    if standing is not None and standing["verdict"] != Verdict.INVALID:
        return standing
    why = "was never calibrated" if standing is None else "has only an INVALID calibration"
    console.print(
        f"This sweep streams, and the load generator as it stands {why} on this machine: doing it now, "
        "quickly. `yapbench calibrate` takes longer and finds more; --no-calibrate goes without.",
        soft_wrap=True,
    )
    with progress(console) as say:
        found = session.run(plan.quick(), say)
    path = certificate.keep(found)
    reasons = f": {'; '.join(found['reasons'])}" if found["reasons"] else ""
    console.print(f"calibration {found['verdict']}{reasons}; stored at {path}", soft_wrap=True)
    return found


@contextmanager
def progress(console: Console) -> Iterator[Callable[[str], None]]:
    """How to say what is being measured: a line that is redrawn on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield lambda words: console.print(words, soft_wrap=True)
        return
    with console.status("calibrating ...") as status:
        yield lambda words: status.update(f"calibrating: {words}")
