"""One side of a comparison: the trials of a sweep's folder, or those of them whose server was of one commit.

Knows folders and commits; knows no number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yapbench import axes, checkouts, store
from yapbench.errors import CorruptFile, NothingRan, UsageError
from yapbench.store import TrialData


@dataclass(frozen=True)
class Side:
    """What was measured before, or after."""

    name: str
    """As it is called on the page: "quick", "quick at 0123456"."""
    folder: Path
    done: tuple[TrialData, ...]
    failed: tuple[TrialData, ...]
    unread: tuple[tuple[str, str], ...]
    """(folder or file, reason)."""

    def all_of(self, *path: str) -> list[str]:
        """The distinct values that the finished trials stored at a path, as text, in the order of the trials."""
        return axes.stored((trial.info for trial in self.done), path)


def of_folder(folder: Path, *, commit: str | None = None) -> Side:
    """The trials below `folder`, of `commit` where it is given. Raises NothingRan when none ended well.

    Unreadable files and trials that never ended are named, not raised.
    """
    trials: list[TrialData] = []
    unread: list[tuple[str, str]] = []
    for path in _trials(folder):
        try:
            info = store.read_info(path)
            if commit in (None, _commit(info)):
                trials.append(store.read_trial(path))
        except CorruptFile as problem:
            unread.append((path.name, f"{problem.path.name}: {problem.reason}"))
    if commit is None:
        unread += [(path.name, "begun and never ended") for path in store.unfinished(folder)]
    done = tuple(trial for trial in trials if trial.info["status"] == "done")
    failed = tuple(trial for trial in trials if trial.info["status"] == "failed")
    name = f"{folder.name} at {commit[:7]}" if commit else folder.name
    if not done:
        reasons = "; ".join(f"{what}: {why}" for what, why in unread[:3])
        raise NothingRan(f"{name}: no trial ended well{f' ({reasons})' if reasons else ''}")
    return Side(name, folder, done, failed, tuple(unread))


def open_sides(before: str, after: str, *, runs_dir: Path, sweep: str | None = None) -> tuple[Side, Side]:
    """Both sides from what the user wrote: folders, names below `runs_dir`, or commits.

    Commits are looked for in the sweep called `sweep`, else in the only one that measured all of them, else each in the
    only one that measured it. Raises UsageError for what is none of these, or for commits that several sweeps measured;
    NothingRan for one that none did.
    """
    texts = (before, after)
    folders = [_folder(text, runs_dir) for text in texts]
    commits = ["" if folder else _resolve(text, runs_dir) for text, folder in zip(texts, folders, strict=True)]
    places = _sweeps_of({commit for commit in commits if commit}, runs_dir, sweep)
    sides = [
        of_folder(folder) if folder else of_folder(places[commit], commit=commit)
        for folder, commit in zip(folders, commits, strict=True)
    ]
    return sides[0], sides[1]


def _folder(text: str, runs_dir: Path) -> Path | None:
    return next((path.resolve() for path in (Path(text), runs_dir / text) if text and path.is_dir()), None)


def _trials(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{store.TRIAL}"))


def _commit(info: dict[str, Any]) -> str:
    return str((info.get("git") or {}).get("commit") or "")


def _commits(folder: Path) -> set[str]:
    """Of the servers that were measured in a sweep's folder; what cannot be read has none."""
    found = set()
    for path in _trials(folder):
        try:
            found.add(_commit(store.read_info(path)))
        except CorruptFile:
            continue
    return found - {""}


def _resolve(text: str, runs_dir: Path) -> str:
    """A commit's full name: git's word for it, else that of a measured one that begins so."""
    try:
        return checkouts.resolve(text)
    except UsageError as problem:
        known = {commit for folder in runs_dir.glob("*/") for commit in _commits(folder)}
        found = [commit for commit in known if re.fullmatch("[0-9a-f]{7,40}", text) and commit.startswith(text)]
        if len(found) == 1:
            return found[0]
        raise UsageError(f"{text!r} is no folder, no sweep in {runs_dir.name}/ and no commit") from problem


def _sweeps_of(commits: set[str], runs_dir: Path, sweep: str | None) -> dict[str, Path]:
    """The folder of the sweep that measured each of these commits: the same one for all where there is one."""
    if sweep is not None:
        return dict.fromkeys(commits, runs_dir / sweep)
    measured = {folder: _commits(folder) for folder in sorted(runs_dir.glob("*/"))} if commits else {}
    together = [folder for folder, found in measured.items() if commits <= found]
    if together:
        return dict.fromkeys(commits, _only(commits, together))
    return {commit: _only({commit}, [f for f, found in measured.items() if commit in found]) for commit in commits}


def _only(commits: set[str], folders: Sequence[Path]) -> Path:
    short = " and ".join(sorted(commit[:7] for commit in commits))
    if not folders:
        raise NothingRan(f"{short}: no sweep measured this")
    if len(folders) > 1:
        raise UsageError(f"{short}: measured by {', '.join(folder.name for folder in folders)}; name one of them")
    return folders[0]
