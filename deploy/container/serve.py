"""What an image runs: the server named by YAPBENCH_SERVER on $PORT, in this process, so that signals reach it.

Process 1 of a container has no default signal actions: a SIGTERM while a model is loading would be ignored, and the
container killed at the end of its grace. So it is answered here until the server's own handler, which drains, is set.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

HERE = Path(__file__).resolve().parent
ENDED_BY_SIGTERM = 128 + signal.SIGTERM


def end(number: int, frame: FrameType | None) -> NoReturn:
    """Nothing is served yet, so there is nothing to drain; no cleaning up that could hang in a half-loaded library."""
    os._exit(ENDED_BY_SIGTERM)


def main() -> None:
    server = os.environ["YAPBENCH_SERVER"]
    prefetched = HERE / "weights"
    if any(prefetched.glob("*")):
        # Not in HF_HOME, which a volume would cover.
        os.environ.setdefault("HF_HUB_CACHE", str(prefetched))
    signal.signal(signal.SIGTERM, end)
    # `python serve.py` puts this folder first in the path: servers/ is found there.
    sys.argv = [f"servers.{server}", f"--port={os.environ.get('PORT', '8000')}", *sys.argv[1:]]
    runpy.run_module(f"servers.{server}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
