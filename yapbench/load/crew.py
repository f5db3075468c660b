"""Processes that work on one thing and report by lines of JSON: started together, listened to, and ended together.

Knows neither loads nor servers. None of them outlives the call, or the process that made it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_LAST_LINES: Final = 20
_READ_BYTES: Final = 1 << 16

OnLine = Callable[[int, dict[str, Any]], None]
"""Called with the number of a process and what it said."""


@dataclass(frozen=True)
class End:
    """How a process ended. `code`: negative for a signal. `words`: the end of its stderr.

    `broke`: of itself and not as it should; the others were ended for it.
    """

    code: int
    words: str
    broke: bool


def run(
    commands: Sequence[Sequence[str]], *, environment: Mapping[str, str], fine: Collection[int], on_line: OnLine
) -> list[End]:
    """Run the commands at once, until all have ended with a code of `fine`, or one has not: then end the others.

    `environment` joins ours. stdin of each is its lifeline, whose other end only this process has.
    """
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])  # works from any folder
    with contextlib.ExitStack() as stack:
        members = []
        for command in commands:
            log = stack.enter_context(tempfile.TemporaryFile())
            members.append(_Member(command, {**os.environ, "PYTHONPATH": paths, **environment}, log))
            stack.callback(members[-1].end)
        broken = _listen(members, fine, on_line)
        for one in members:
            one.end()
        return [End(one.process.wait(), one.words(), one is broken) for one in members]


def _listen(members: Sequence[_Member], fine: Collection[int], on_line: OnLine) -> _Member | None:
    """Until all are done; returns the first that broke."""
    with selectors.DefaultSelector() as selector:
        for number, one in enumerate(members):
            selector.register(one.stdout, selectors.EVENT_READ, number)
        while selector.get_map():
            for key, _ in selector.select():
                member: _Member = members[key.data]
                for line in member.lines():
                    on_line(key.data, json.loads(line))
                if member.ended:
                    selector.unregister(key.fileobj)
                    if member.process.wait() not in fine:
                        return member
    return None


class _Member:
    """One process and its pipes. A session of its own keeps the terminal's Ctrl-C for us; the lifeline then ends it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        assert self.process.stdout is not None
        self.stdout: IO[bytes] = self.process.stdout
        self.ended = False
        """It has closed its stdout."""
        self._log, self._said = log, b""

    def lines(self) -> list[bytes]:
        """What it has said, in whole lines. Waits for some of it."""
        found = os.read(self.stdout.fileno(), _READ_BYTES)
        self.ended = not found
        *lines, self._said = (self._said + found).split(b"\n")
        return lines

    def end(self) -> None:
        """Kill it, if it lives, and let go of its pipes."""
        self.process.kill()  # nothing happens if it has ended
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.stdout.close()

    def words(self) -> str:
        """The end of what it wrote to stderr."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return "\n".join(lines[-_LAST_LINES:])
