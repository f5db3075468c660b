"""Folders of attempts: each try at a trial works in one of its own, and only a finished one is renamed into place.

So a late duplicate, from a worker given up as lost, can harm nothing: the first finished attempt stays.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from yapbench import runner, store

FOLDER = ".attempts"
"""Beside the trials of a sweep, out of the sight of everything that reads them."""

_TEXTS = (".json", ".ipynb", ".log")


def new(final: Path) -> Path:
    """An empty folder in which to try the trial that will lie at `final`; on the same file system."""
    place = final.parent / FOLDER
    while True:
        attempt = place / f"{final.name}-{secrets.token_hex(2)}"
        with contextlib.suppress(FileExistsError):
            attempt.mkdir(parents=True)
            return attempt


def publish(attempt: Path, final: Path) -> bool:
    """Rename a finished attempt to `final`; False, and the attempt is gone, where a finished trial lies there already.

    What its files say of their own place is changed with it, so that a command in them can be run again.
    """
    retell(attempt, f"{FOLDER}/{attempt.name}", final.name)
    while True:
        try:
            attempt.rename(final)
        except OSError:
            if not final.is_dir():
                raise
            if store.finished(final):
                shutil.rmtree(attempt)
                return False
            # Begun by hand or by an older version, and never ended.
            aside = attempt.with_name(f"{attempt.name}-aside")
            final.rename(aside)
            shutil.rmtree(aside)
            continue
        _flush(final.parent)
        return True


def forget(final: Path) -> None:
    """Remove what lies where a trial is to be run again: a failed result, or what was begun and never ended."""
    if final.exists():
        aside = new(final)
        final.rename(aside / final.name)  # at once, so that a reader sees all of it or nothing
        shutil.rmtree(aside)


def clear(sweep: Path) -> None:
    """Remove every attempt of a sweep: only while its lock is held, so that none of them is anybody's."""
    shutil.rmtree(sweep / FOLDER, ignore_errors=True)


def progress(final: Path) -> dict[str, Any]:
    """What the newest attempt at a trial last said of itself; {} when there is none or it says nothing."""
    said = [runner.read_progress(attempt) for attempt in (final.parent / FOLDER).glob(f"{final.name}-*")]
    return next((found for found in said if found), {})


def retell(folder: Path, before: str, after: str) -> None:
    """Change what the texts of a trial's folder say of their place."""
    for path in folder.iterdir():
        if path.suffix in _TEXTS and path.is_file():
            text = path.read_bytes()
            if before.encode() in text:
                store.write_bytes(path, text.replace(before.encode(), after.encode()))


def _flush(folder: Path) -> None:
    """The rename must survive a power cut, as store.replacing's does."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
