"""The owner's end of a supervised process: start it, end it, list it. Safe from any thread.

Not covered: work handed to other daemons (docker, systemd, ssh); and, if guard and keeper are killed -9 at the
same instant, a child that has overwritten its own environment (setproctitle does). A fork without exec in the
owner keeps the lifeline open: multiprocessing needs "spawn" or "forkserver" beside a running server.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil

from servers.common.supervise import AFTER_GRACE_S, GRACE_S, MARK, ProcessId, SupervisedIds, require_linux, tree

_CHECKOUT = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from servers.common.supervise import main; sys.exit(main())"


class NotSupervised(Exception):
    """No guard could be started."""


class Supervised:
    """A process under a guard: `stop`, or the end of its owner, ends it with all it started."""

    def __init__(self, ids: SupervisedIds, *, owned: subprocess.Popen[bytes] | None, grace_s: float) -> None:
        self.ids = ids
        self.pid = ids.process.pid
        self._owned = owned
        self._grace_s = grace_s

    def alive(self) -> bool:
        """Whether the process itself runs; what it left behind may be in the course of being ended."""
        return self.ids.process.alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing of it is left, at most `timeout_s`; False: it is still there."""
        if self._owned is None:
            return self.ids.guard.wait(timeout_s)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._owned.wait(timeout_s)
            return True
        return False

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, 128 + n for signal n. None before the end, and for a detached process."""
        return None if self._owned is None else self._owned.poll()

    def stop(self) -> None:
        """SIGTERM, the grace, SIGKILL, for the whole tree; returns when nothing is left. Repeatable."""
        if self._owned is None or self._owned.stdin is None:
            self.ids.guard.signal(signal.SIGTERM)
        else:
            self._owned.stdin.close()
        if not self.wait(self._grace_s + AFTER_GRACE_S + 1):  # both were stopped (SIGSTOP)
            for process in tree(self.ids.guard.pid):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self.ids.guard.signal(signal.SIGKILL)
            self.wait(AFTER_GRACE_S)

    def processes(self) -> list[psutil.Process]:
        """The process and everything below it that lives now, orphans that left its session included."""
        return tree(self.ids.keeper.pid) if self.ids.keeper.alive() else []


def spawn(
    argv: Sequence[str],
    *,
    log: BinaryIO,
    environment: Mapping[str, str],
    cpus: Iterable[int] | None = None,
    detached: bool = False,
    grace_s: float = GRACE_S,
) -> Supervised:
    """Start `argv` under a guard with this `environment` and the mark; its output goes to `log`.

    A detached one has no lifeline: it outlives the caller and ends by `stop` or by SIGTERM to the guard.
    Raises StartupRefused off Linux, NotSupervised when the guard cannot start. No such program: exit code 127.
    """
    require_linux()
    read_end, write_end = os.pipe()
    options = [f"--report-fd={write_end}", f"--grace-s={grace_s}"]
    options += ["--detached"] if detached else []
    options += ["--cpus=" + ",".join(str(cpu) for cpu in sorted(set(cpus)))] if cpus is not None else []
    try:
        guard = subprocess.Popen(
            # Our path not by PYTHONPATH: the process gets `environment` as it is. -P: no import from the cwd.
            [sys.executable, "-P", "-c", _BOOT, str(_CHECKOUT), *options, "--", *argv],
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=dict(environment),
            pass_fds=[write_end],
            start_new_session=True,  # Ctrl-C is for the owner. No PDEATHSIG here: the calling thread may end
        )
    finally:
        os.close(write_end)
        with os.fdopen(read_end, "rb") as report:
            said = report.read()
    if detached:
        guard.wait()  # it forked and left
    try:
        ids = SupervisedIds.from_json(json.loads(said))
    except ValueError as error:
        if guard.stdin is not None:
            guard.stdin.close()
        raise NotSupervised(f"the supervisor of {argv[0]} did not start (exit code {guard.wait()})") from error
    return Supervised(ids, owned=None if detached else guard, grace_s=grace_s)


def end_orphans() -> list[int]:
    """Kill what is left of processes whose guard and keeper were killed together; returns the pids.

    Looks only at processes of this user in this pid namespace; does nothing off Linux.
    """
    ended = []
    for pid in psutil.pids() if sys.platform == "linux" else []:
        orphan = ProcessId.of(pid)
        keeper = _keeper_of(pid)
        if orphan and keeper and not keeper.alive() and orphan.signal(signal.SIGKILL):
            ended.append(pid)
    return ended


def _keeper_of(pid: int) -> ProcessId | None:
    folder = Path(f"/proc/{pid}")
    try:
        if folder.stat().st_uid != os.geteuid():
            return None
        if (folder / "ns/pid").readlink() != Path("/proc/self/ns/pid").readlink():
            return None  # a container's: the numbers in its mark mean nothing here
        entries = (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for entry in entries:
        name, _, value = entry.partition(b"=")
        if name == MARK.encode():
            number, _, ticks = value.decode(errors="replace").partition(":")
            return ProcessId(int(number), int(ticks)) if number.isdigit() and ticks.isdigit() else None
    return None
