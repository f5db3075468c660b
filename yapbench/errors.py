"""The harness's one error tree. An error keeps facts as attributes and computes its text.

YapbenchError
├── UsageError            a wrong name, value or file given by the user           exit 2
├── NothingRan            there was nothing to run or to report                   exit 7
├── CorruptFile           a file of a run is unreadable or half written           exit 2
├── LoadFailed            the load process itself broke (load.py)                 exit 5
└── ServerError           the server under test failed                            exit 6
    ├── ServerDied        its process ended
    ├── ServerNotReady    it did not become ready in time
    └── SettingsDiffer    it runs with other settings than were asked for

Exit codes are those of docs/architecture.md: 0 ok, 2 usage, 3 SLO missed, 4 regression, 5 invalid run,
6 server failed, 7 nothing ran.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the command line answers to the shell."""

    OK = 0
    USAGE = 2
    SLO_MISSED = 3
    REGRESSION = 4
    INVALID_RUN = 5
    SERVER_FAILED = 6
    NOTHING_RAN = 7


class YapbenchError(Exception):
    """Root of the tree; `exit_code` is what the command line returns for it."""

    exit_code = ExitCode.USAGE


class UsageError(YapbenchError):
    """The user named something that is not there or gave a value that cannot be used."""

    @classmethod
    def unknown(cls, kind: str, name: str, known: Iterable[str]) -> UsageError:
        """An unknown `kind` called `name`, with the nearest known name as a remedy."""
        choices = sorted(known)
        near = difflib.get_close_matches(name, choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(choices)}"
        return cls(f"unknown {kind} {name!r}{hint}")


class NothingRan(YapbenchError):
    """No trial to run, or no finished trial to report."""

    exit_code = ExitCode.NOTHING_RAN


class CorruptFile(YapbenchError):
    """A file of a run cannot be read. It is named, never skipped in silence."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


class ServerError(YapbenchError):
    """The server under test failed; `log_tail` holds its last log lines."""

    exit_code = ExitCode.SERVER_FAILED
    code = "server_failed"

    def __init__(self, message: str, *, log_tail: str = "") -> None:
        self.message, self.log_tail = message, log_tail
        super().__init__(f"{message}\n{log_tail}" if log_tail else message)


class ServerDied(ServerError):
    """The server's process ended while it was needed."""

    code = "server_died"


class ServerNotReady(ServerError):
    """`/ready` did not answer 200 within the time allowed."""

    code = "not_ready"


class SettingsDiffer(ServerError):
    """The server's own /status shows other settings than were asked for."""

    code = "settings_differ"
