"""The servers of another commit of this repository, laid out beside ours: one harness measures both.

Knows git and folders; starts nothing. What a commit needs to run is taken to be what ours needs, and checked.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from yapbench import catalog, envs
from yapbench.errors import UsageError

CHECKOUT: Final = Path(__file__).resolve().parent.parent
SERVERS: Final = "servers"


def resolve(ref: str) -> str:
    """The full name of the commit that `ref` means. Raises UsageError where this is no repository or has none such.

    A full name that is laid out already needs no repository: so it does in a kernel, or a container without git.
    """
    if re.fullmatch(r"[0-9a-f]{40,64}", ref) and _place(ref).is_dir():
        return ref
    if ref.startswith("-"):
        raise UsageError(f"{ref!r} is no commit")
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found is None:
        raise UsageError(f"{ref!r} is no commit of the repository at {CHECKOUT}")
    return found.decode().strip()


def is_commit(ref: str) -> bool:
    """Whether `ref` means a commit here."""
    try:
        return bool(resolve(ref))
    except UsageError:
        return False


def at(commit: str) -> Path:
    """The folder that holds `servers/` as it is in `commit` (a full name); laid out on first use, whole or not at all.

    It lies in YAPBENCH_CACHE, or in ~/.cache/yapbench, as `checkouts/<commit>`.
    """
    place = _place(commit)
    root = place.parent
    if place.is_dir():
        return place
    packed = _git("archive", "--format=tar", commit, SERVERS)
    if packed is None:
        raise UsageError(f"commit {commit[:12]} has no {SERVERS}/")
    root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=root, prefix=".making-"))
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(scratch, filter="data")
        try:
            scratch.rename(place)
        except OSError:  # somebody else was quicker: theirs is the same
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return place


def check(server: str, commit: str) -> None:
    """Raise UsageError unless `commit` has the server, and wants the packages that ours wants."""
    entry = catalog.lookup(server)
    folder = at(commit) / SERVERS / server
    if not folder.is_dir():
        raise UsageError(f"commit {commit[:12]} has no server {server!r}")
    for name in envs.names_of(entry):
        ours = envs.requirements_file(entry, name)
        theirs = folder / ours.name
        wanted = [set(envs.requirement_lines(file)) if file.is_file() else set() for file in (ours, theirs)]
        if wanted[0] != wanted[1]:
            raise UsageError(
                f"{ours.name} of {server} differs between {commit[:12]} and here, and both run in our environment: "
                "run the sweep in a checkout of each and compare the two folders"
            )


def identity(server: str, commit: str) -> dict[str, str]:
    """Hashes of the folders that the server consists of, weights included: equal content is equal in any commit."""
    return {folder: _sha256(at(commit) / SERVERS / folder) for folder in (server, "common")}


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _place(commit: str) -> Path:
    return Path(os.environ.get("YAPBENCH_CACHE") or "~/.cache/yapbench").expanduser() / "checkouts" / commit


def _git(*arguments: str) -> bytes | None:
    """What git prints, or None: it failed, or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(CHECKOUT), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
