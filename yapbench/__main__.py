"""`yapbench` and `python -m yapbench`: runs a verb and decides the exit code."""

from __future__ import annotations

import os
import sys

from cyclopts import CycloptsError

from yapbench.cli import app
from yapbench.errors import ExitCode, YapbenchError


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
