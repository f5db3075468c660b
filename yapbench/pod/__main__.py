"""`python -m yapbench.pod SERVER [flags]`: what deploy/pod.sh runs once there is a Python to run it."""

from __future__ import annotations

import sys

from yapbench.catalog import CATALOG
from yapbench.errors import ExitCode, YapbenchError
from yapbench.pod import steps

USAGE = "deploy/pod.sh SERVER [--ready-timeout-s=SECONDS] [its own flags: --model=tiny --device=cpu --port=8005 ...]"
INTERRUPTED = 130


def main() -> int:
    """0: it is up and has answered; 2: refused; 6: server, weights or warm-up failed; 130: Ctrl+C."""
    words = sys.argv[1:]
    if not words or words[0] in ("--help", "-h"):
        print(f"usage: {USAGE}\nservers: {', '.join(entry.name for entry in CATALOG)}")
        return ExitCode.OK if words else ExitCode.USAGE
    try:
        return steps.bring_up(words[0], words[1:])
    except YapbenchError as problem:
        print(f"pod: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("pod: stopped; the same command goes on where it was", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
