"""Small servers and their owners as real processes, and the proof that nothing of them is left."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from yapbench import probe
from yapbench.command import Command, free_port

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
OWNER = HERE / "owner.py"
GONE_S = 12.0


def command(
    mark: str, mode: str = "", *, port: int = 0, asked: Mapping[str, Any] | None = None, **secrets: str
) -> Command:
    """The command of a small server whose every process carries `mark` on its command line."""
    port = port or free_port()
    words = (f"--port={port}", f"--mark={mark}", f"--mode={mode}")
    argv = (sys.executable, str(HERE / "small_server.py"), *words)
    return Command(server="small", argv=argv, host="127.0.0.1", port=port, secrets=secrets, expected=dict(asked or {}))


def new_mark() -> str:
    return f"mark-{uuid.uuid4().hex}"


def words(process: psutil.Process) -> list[str]:
    """The command line; [] for a process that is just going."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def marked(mark: str) -> list[psutil.Process]:
    """Living processes with the mark on their command line: server, its far child, guard and keeper, owner."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(mark in word for word in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def far_child(mark: str) -> list[int]:
    """The server's child that is deaf to SIGTERM, in a session of its own, and not below the server any more."""
    return [process.pid for process in marked(mark) if "--mode=asleep" in words(process)]


def wait_for(condition: Any, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


def left_after(mark: str, port: int) -> str:
    """What is still there after GONE_S: "" when no process and no listener is."""
    wait_for(lambda: not marked(mark) and probe.port_is_free(port), GONE_S)
    taken = "" if probe.port_is_free(port) else f"port {port} in use"
    return taken + " ".join(" ".join(words(process)) for process in marked(mark))


class Owner:
    """A Python process that starts a small server from a thread that ends at once, then does what it is told."""

    def __init__(self, folder: Path, then: str) -> None:
        self.mark = new_mark()
        self.process = subprocess.Popen(
            [sys.executable, str(OWNER), self.mark, str(folder / "server.log"), then],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=CHECKOUT,
            text=True,
        )
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        self.port, self.guard, self.keeper, self.server = (int(word) for word in words)

    def go(self) -> None:
        """Let it do what it was told."""
        self.process.communicate("\n")

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        for process in marked(self.mark):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
