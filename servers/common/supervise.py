"""Guard and keeper: hold a process so that neither it nor anything it started survives its owner. Linux only.

    owner --pipe--> guard --pipe--> keeper --PDEATHSIG--> process --> its children, own sessions or not

The owner (a notebook's kernel, a shell command, a server with an engine of its own) holds the write end of a pipe,
the lifeline: its end of file is the one sign of death that also kill -9 gives. Guard and keeper are both child
subreapers, so an orphan stays below them; each cleans up after the other, so either may be killed -9. If both are
killed at once, the process dies by PDEATHSIG and `lifeline.end_orphans` finds the rest by the mark in their
environment.
Started by lifeline.py. Knows nothing of servers, ports or readiness.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import psutil

from servers.common.errors import StartupRefused

MARK = "YAPBENCH_KEEPER"
"""Environment variable of everything below a keeper: the keeper's identity."""

GRACE_S = 5.0
"""What a process usually gets between SIGTERM and SIGKILL."""

AFTER_GRACE_S = 7.0
"""How long guard and keeper may need beyond the grace, when everything goes wrong."""

_TREE_GRACE_S = 1.0  # for what the process left behind
_KILL_S = 2.0  # for the kernel to carry out SIGKILL; only a process stuck in a driver needs longer
_STOPS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")  # names: Windows, where this must import, lacks some
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same number (within one boot)."""

    pid: int
    start_ticks: int
    """When it was started, in clock ticks since boot."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this number now; None when there is none or it is only a zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else cls(pid, int(fields[19]))

    @classmethod
    def me(cls) -> Self:
        own = cls.of(os.getpid())
        if own is None:
            raise OSError("/proc does not show this process")
        return own

    def alive(self) -> bool:
        return type(self).of(self.pid) == self

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to this process and no other; False when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():  # asked after the handle was taken: from here on the number cannot be reused
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end, also of somebody else's child; False when `timeout_s` were not enough."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive() or bool(select.select([handle], [], [], timeout_s)[0])
        finally:
            os.close(handle)


@dataclass(frozen=True)
class SupervisedIds:
    """The three processes: who guards, who keeps, and the one that is kept."""

    guard: ProcessId
    keeper: ProcessId
    process: ProcessId

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Back from `asdict`. Raises ValueError for anything else."""
        try:
            names = ("guard", "keeper", "process")
            return cls(*(ProcessId(int(value[n]["pid"]), int(value[n]["start_ticks"])) for n in names))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no supervised process: {value!r}") from error


def require_linux() -> None:
    """Raises StartupRefused where the kernel lacks what this module stands on."""
    if sys.platform != "linux":
        raise StartupRefused(
            f"starting a server needs Linux (subreaper, PDEATHSIG), this is {sys.platform}; "
            "a server that already runs can be measured by its URL, and reports work here"
        )


def tree(pid: int) -> list[psutil.Process]:
    """Everything below a process, not the process itself."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


class _Holder:
    """Has one child; waits, not polling, for its end, a signal or the lifeline; then leaves nothing below."""

    def __init__(self, *, lifeline: int | None, grace_s: float) -> None:
        self._lifeline, self._grace_s = lifeline, grace_s
        self._child = 0
        self._code: int | None = None
        self._empty = False
        self._stop = False
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._wake, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for name in _STOPS:
            signal.signal(signal.Signals[name], self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake the select below

    def hold(self, become_child: Callable[[], NoReturn], *, announce: Callable[[int], None]) -> int:
        """Fork, let the child become what it is, wait. Returns its exit code, 128 + n for signal n."""
        self._child = os.fork()
        if self._child == 0:
            become_child()
        announce(self._child)
        watched = [self._wake] if self._lifeline is None else [self._wake, self._lifeline]
        while self._code is None and not self._stop:
            ready, _, _ = select.select(watched, [], [])
            if self._lifeline in ready and not os.read(self._lifeline or 0, 512):
                self._stop = True
            self._reap()
        self._leave_nothing()
        code = self._code
        if code is None:  # it could not even be killed
            return 128 + signal.SIGKILL
        return code if code >= 0 else 128 - code

    def _leave_nothing(self) -> None:
        if self._code is None:
            # The process alone at first: a server drains with its helpers still alive.
            os.kill(self._child, signal.SIGTERM)
            self._wait(lambda: self._code is not None, self._grace_s)
        self._signal_all(signal.SIGTERM)
        self._wait(lambda: self._empty, _TREE_GRACE_S)
        deadline_s = time.monotonic() + _KILL_S
        while not self._empty and time.monotonic() < deadline_s:
            self._signal_all(signal.SIGKILL)  # again and again: something may be forking just now
            self._wait(lambda: self._empty, 0.1)

    def _signal_all(self, number: signal.Signals) -> None:
        for process in [] if self._empty else tree(os.getpid()):
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def _wait(self, reached: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        self._reap()
        while not reached() and (left_s := deadline_s - time.monotonic()) > 0:
            select.select([self._wake], [], [], left_s)
            self._reap()

    def _reap(self) -> None:
        """Collect ended children, adopted ones too. As we are the subreaper, no child means no descendant."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._child:
                    self._code = os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            self._empty = True

    def _on_stop(self, *_: object) -> None:
        self._stop = True


def main() -> int:
    """The guard. Options, then `-- COMMAND`; standard input is the lifeline, unless detached."""
    parser = argparse.ArgumentParser(prog="servers.common.supervise")
    parser.add_argument("--detached", action="store_true")
    parser.add_argument("--cpus", default="")
    parser.add_argument("--grace-s", type=float, default=GRACE_S)
    parser.add_argument("--report-fd", type=int, default=None)
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args()
    require_linux()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if options.report_fd is not None:
        os.set_inheritable(options.report_fd, False)
    if options.detached and os.fork():
        os._exit(0)
    guard = ProcessId.me()
    lifeline, write_end = os.pipe()

    def keep() -> NoReturn:
        os.close(write_end)
        os.setsid()  # a signal to the guard's process group leaves the keeper to clean up
        holder = _Holder(lifeline=lifeline, grace_s=options.grace_s)
        keeper = ProcessId.me()

        def report(pid: int) -> None:
            if options.report_fd is not None:
                # Of a process that has already ended: start -1, which is never alive.
                ids = SupervisedIds(guard, keeper, ProcessId.of(pid) or ProcessId(pid, -1))
                with contextlib.suppress(BrokenPipeError):
                    os.write(options.report_fd, json.dumps(asdict(ids)).encode())
                os.close(options.report_fd)

        cpus = [int(cpu) for cpu in options.cpus.split(",") if cpu]
        os._exit(holder.hold(lambda: _become(options.argv, keeper, cpus), announce=report))

    def forget(_: int) -> None:
        os.close(lifeline)
        if options.report_fd is not None:
            os.close(options.report_fd)

    # Long enough for the keeper to do the same work first.
    holder = _Holder(lifeline=None if options.detached else 0, grace_s=options.grace_s + _TREE_GRACE_S + _KILL_S + 1)
    return holder.hold(keep, announce=forget)


def _become(argv: Sequence[str], keeper: ProcessId, cpus: Sequence[int]) -> NoReturn:
    """The forked child: exec `argv` in its own session; the kernel kills it should its keeper go first."""
    try:
        signal.set_wakeup_fd(-1)
        for name in (*_STOPS, "SIGCHLD", "SIGPIPE"):
            signal.signal(signal.Signals[name], signal.SIG_DFL)
        os.setsid()
        # Bound to the forking *thread*: the keeper has only one, so that is the keeper's own life.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper.pid:
            os._exit(128 + signal.SIGKILL)  # it had gone before we asked
        if cpus:
            os.sched_setaffinity(0, cpus)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ[MARK] = f"{keeper.pid}:{keeper.start_ticks}"
        os.execvp(argv[0], list(argv))
    except OSError as error:
        os.write(2, f"{argv[0]}: {error}\n".encode())
    os._exit(127)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


if __name__ == "__main__":
    sys.exit(main())
