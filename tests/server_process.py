"""Servers as processes of their own: started with flags and variables, and gone when the test is over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.server_port import wait_for_port

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Child:
    """A server process. Its output goes to `log`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


Kind = TypeVar("Kind", bound=Child)


@contextmanager
def launching(kind: type[Kind], folder: Path, *command: str, **environment: str) -> Iterator[Callable[..., Kind]]:
    """Yields `launch("--seats=2", STUB_MS="50")`: a `kind` that listens. All are killed in the end.

    `command` is what every one of them runs, behind the interpreter; `environment` is given to every one, and nothing
    of ours but PATH. `folder` is where they run and where their logs are.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def launch(*flags: str, **more: str) -> Kind:
        log = folder / f"server-{len(processes)}.log"
        common = ["--host=127.0.0.1", "--port=0", "--log-format=json"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command, *common, *flags],
                stdout=output,
                stderr=output,
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment, **more},
            )
        processes.append(process)
        return kind(process, wait_for_port(process, log), log)

    try:
        yield launch
    finally:
        for process in processes:
            process.kill()
            process.wait()
