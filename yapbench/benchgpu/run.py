"""Benches within one budget: each server's settings, then machine facts, summary, page and archive.

What was measured is packed however the run ends, short of SIGKILL; after that the archive is that of a few settings
before, and the next call goes on.
"""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from yapbench import store
from yapbench.benchgpu import archive, facts, summary
from yapbench.benchgpu.cells import cells_of, shares_of
from yapbench.benchgpu.declared import CHECKOUT, Bench
from yapbench.benchgpu.session import Session
from yapbench.errors import ExitCode
from yapbench.sweep import locked

RESERVE: Final = 0.1
"""Of the budget: for summary, page and archive."""

ARCHIVE: Final = "bench-gpu.tar.gz"
_PACK_EVERY: Final = 4
"""Settings between two archives."""

_PAGE: Final = "import sys; from pathlib import Path; from yapbench import report; report.build(Path(sys.argv[1]))"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The command line, read."""

    benches: Sequence[Bench]
    overrides: Mapping[str, Any]
    budget_s: float
    started_s: float
    """time.monotonic() when the budget began."""
    out: Path
    python: Path
    bare_s: float
    page_lacks: Sequence[str]
    """Packages without which no page can be drawn."""


def run(asked: Asked) -> ExitCode:
    """Run what the budget allows and pack it. Raises UsageError for a wrong value or a device that is not there."""
    shares = shares_of(asked.overrides, [bench.server for bench in asked.benches])
    plans = {bench.server: cells_of(bench, shares[bench.server]) for bench in asked.benches}  # refuses before it begins
    if str(asked.overrides.get("device", "cuda")).startswith("cpu"):
        print("unverified until run on CUDA: this runs on the CPU", flush=True)
    sessions: list[Session] = []
    with locked(asked.out), ended_by_sigterm():
        try:
            _run_all(asked, plans, sessions)
        except KeyboardInterrupt:
            print("stopped; the same command goes on where it was", flush=True)
            _pack(asked, sessions, page=False)
            return ExitCode.OK if _done(sessions) else ExitCode.NOTHING_RAN
        except Exception:  # whatever it is, it must not cost what was measured before it
            if _done(sessions):
                _pack(asked, sessions, page=False)
            raise
        _pack(asked, sessions, page=True)
    if not _done(sessions):
        failed = any(session.standing().infos for session in sessions)
        return ExitCode.SERVER_FAILED if failed else ExitCode.NOTHING_RAN
    return ExitCode.OK


def _run_all(asked: Asked, plans: Mapping[str, Any], sessions: list[Session]) -> None:
    ends_s = asked.started_s + (1 - RESERVE) * asked.budget_s
    counter = itertools.count(1)

    def after_each() -> None:
        if next(counter) % _PACK_EVERY == 0:
            _pack(asked, sessions, page=False, quiet=True)

    for number, bench in enumerate(asked.benches):
        left_s = ends_s - time.monotonic()
        share_s = left_s / (len(asked.benches) - number)  # what one leaves over goes to those after it
        session = Session(
            bench,
            plans[bench.server],
            folder=asked.out / bench.server,
            python=asked.python,
            bare_s=asked.bare_s,
            say=lambda text: print(text, flush=True),
            after_each=after_each,
        )
        session.folder.mkdir(parents=True, exist_ok=True)
        store.write_text(session.folder / store.GRID, (CHECKOUT / bench.grid).read_text(encoding="utf-8"))
        sessions.append(session)
        session.run(budget_s=share_s, ends_s=time.monotonic() + share_s)


def _pack(asked: Asked, sessions: Sequence[Session], *, page: bool, quiet: bool = False) -> None:
    """Facts, summaries and the archive; then the pages, as long as there is time, and the archive with them."""
    found = facts.gather(CHECKOUT) | {
        "budget_s": asked.budget_s,
        "overrides": dict(asked.overrides),
        "python": str(asked.python),
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    store.write_json(asked.out / "facts.json", found)
    for session in sessions:
        standing = session.standing()
        verdicts = summary.write(session.bench, session.folder, standing, found)
        if not quiet:
            ended = sum(info["status"] == "done" for info in standing.infos.values())
            failed = len(standing.infos) - ended
            print(f"{session.bench.server}: {ended} of {len(standing.cells)} settings measured, {failed} failed")
            for each in verdicts:
                value = "" if each.value is None else f" ({each.value:.3f})"
                print(f"  {each.result}{value}: {each.bar} [{each.mode or 'no mode'}]")
    target = asked.out / ARCHIVE
    manifest = archive.write(asked.out, target)
    if page and _draw(asked, sessions):
        manifest = archive.write(asked.out, target)
    if not quiet:
        print(f"{target} ({target.stat().st_size / (1 << 20):.1f} MiB; {manifest['note']})", flush=True)


def _draw(asked: Asked, sessions: Sequence[Session]) -> bool:
    """Draw each server's page in a process that can be ended when the budget is; whether there is a new one."""
    if asked.page_lacks:
        print(f"no page: {' '.join(asked.page_lacks)} missing; elsewhere: yapbench report on the unpacked folder")
        return False
    drawn = False
    for session in sessions:
        if not session.standing().infos:
            continue
        left_s = asked.started_s + asked.budget_s - time.monotonic()
        words = [sys.executable, "-c", _PAGE, str(session.folder)]
        try:
            done = subprocess.run(
                words, cwd=CHECKOUT, timeout=max(1.0, left_s), capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"no page for {session.bench.server}: no time was left; later: yapbench report {session.folder}")
            continue
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:]
            print(f"no page for {session.bench.server}: {last[0] if last else done.returncode}")
        drawn = drawn or done.returncode == 0
    return drawn


def _done(sessions: Sequence[Session]) -> int:
    return sum(info["status"] == "done" for session in sessions for info in session.standing().infos.values())


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends this like Ctrl-C, so that what was measured is packed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
