"""A log file that is followed, and kept from growing without end.

`python -m yapbench.verbs.logfile LOG PID TICKS BYTES` does the latter. The writer holds the file
open for appending, so a long one is copied to log.previous and cut to nothing in place; what is written between the
two steps is lost, a few microseconds' worth.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from servers.common.supervise import MARK, ProcessId

LIMIT_BYTES: Final = 16 << 20
"""A log grows to about this size; the one before it is kept, so twice as much lies on the disk."""

PREVIOUS: Final = "log.previous"
_CHECKOUT = Path(__file__).resolve().parents[2]
_LOOK_S = 1.0


def follow(path: Path, *, alive: Callable[[], bool], from_byte: int = 0, poll_s: float = 0.2) -> Iterator[str]:
    """What is in the file from `from_byte` on, then what is appended, until the writer is gone and all is said.

    A file that was cut or replaced meanwhile is read from its beginning. Raises OSError when it cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    position, file = from_byte, path.open("rb")
    try:
        while True:
            last_look = not alive()  # asked before reading: what it wrote until its end is still read
            file.seek(position)
            while chunk := file.read(65536):
                position += len(chunk)
                yield decoder.decode(chunk)
            if _replaced(path, file.fileno()):
                file.close()
                position, file = 0, path.open("rb")
            elif os.fstat(file.fileno()).st_size < position:
                position = 0
            elif last_look:
                return
            else:
                time.sleep(poll_s)
    finally:
        file.close()


def start_of_last(path: Path, lines: int) -> int:
    """The byte at which the last `lines` lines begin, looking at the last 64 KiB at most."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65536))
        kept = file.read().splitlines(keepends=True)[-lines:] if lines > 0 else []
    return size - sum(map(len, kept))


def cut(path: Path, *, limit_bytes: int) -> bool:
    """Move a longer log's content to log.previous beside it; whether it was longer."""
    try:
        if path.stat().st_size <= limit_bytes:
            return False
        part = path.with_name(f"{PREVIOUS}.part")
        shutil.copyfile(path, part)
        os.truncate(path, 0)
        part.replace(path.with_name(PREVIOUS))
    except FileNotFoundError:  # a new start has just moved it
        return False
    return True


def keep_short(path: Path, writer: ProcessId, *, limit_bytes: int = LIMIT_BYTES) -> None:
    """Leave a process behind that cuts the log as long as its writer lives; without it the log only grows."""
    words = [str(path), str(writer.pid), str(writer.start_ticks), str(limit_bytes)]
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    nowhere = subprocess.DEVNULL
    subprocess.run(
        [sys.executable, "-m", "yapbench.verbs.logfile", *words],
        env=environment | {"PYTHONPATH": str(_CHECKOUT)},
        cwd=_CHECKOUT,
        stdin=nowhere,
        stdout=nowhere,
        stderr=nowhere,
        start_new_session=True,
        check=False,
    )


def main(argv: Sequence[str]) -> int:
    """Fork, leave the caller, and watch until the writer is gone."""
    path, writer, limit_bytes = Path(argv[0]), ProcessId(int(argv[1]), int(argv[2])), int(argv[3])
    if os.fork():
        return 0
    while writer.alive():
        with contextlib.suppress(OSError):  # a full disk, say: it may be less full the next time
            cut(path, limit_bytes=limit_bytes)
        time.sleep(_LOOK_S)
    return 0


def _replaced(path: Path, descriptor: int) -> bool:
    try:
        return not os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
