"""Where a result comes from: commit, versions, the command that repeats it. Read-only."""

from __future__ import annotations

import platform
import shlex
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

HARNESS_PACKAGES = (
    "aiohttp",
    "ipykernel",
    "numpy",
    "pandas",
    "papermill",
    "pyarrow",
    "scipy",
    "soxr",
    "uvloop",
    "yapbench",
)


def git_state(checkout: Path) -> dict[str, Any]:
    """{"commit": hex or "", "dirty": bool}; empty where this is no git checkout (a tarball, a container)."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    return {"commit": commit or "", "dirty": bool(git("status", "--porcelain")) if commit else False}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that take part in measuring."""
    found = {"python": platform.python_version()}
    for name in HARNESS_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def reproduce_line(notebook: str, asked: Mapping[str, Any]) -> str:
    """The papermill command that repeats one trial from the checkout's root."""
    words = ["papermill", f"notebooks/{notebook}.ipynb", "out.ipynb"]
    for name, value in sorted(asked.items()):
        if name in ("out_dir", "sweep"):
            continue
        words += ["-p", name, str(value)]
    return ".venv/bin/" + shlex.join(words)
