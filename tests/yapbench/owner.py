"""Owns a small server and ends as its third argument says. A script for tests, never imported."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.yapbench.processes import command
from yapbench import process


def main() -> None:
    mark, log, then = sys.argv[1:]
    started: list[process.Server] = []
    # Its end must not end the server: PDEATHSIG would, had the guard been given one.
    thread = threading.Thread(target=lambda: started.append(process.start(command(mark), log_path=Path(log))))
    thread.start()
    thread.join()
    server = started[0]
    assert server.supervised is not None
    ids = server.supervised.ids
    port = server.url.rpartition(":")[2]
    print(port, ids.guard.pid, ids.keeper.pid, ids.process.pid, flush=True)
    if then != "wait":
        sys.stdin.readline()
    if then == "raise":
        raise RuntimeError("as told")
    if then == "wait":
        time.sleep(300)


if __name__ == "__main__":
    main()
