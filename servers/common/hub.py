"""Models in the hub's cache: found without the hub's code, fetched with it, known by their bytes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from servers.common.errors import StartupRefused

DEFAULT_REVISION: Final = "main"
HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
"""How the hub names a model: owner/name."""


def id_of(model: str) -> str | None:
    """`model` where it is the hub's name of one, not a word and not a folder that is there."""
    is_folder = Path(model).expanduser().is_dir()
    return model if HUB_ID.fullmatch(model) and not is_folder else None


def cached(hub_id: str, revision: str, files: Sequence[str]) -> Path | None:
    """The snapshot of a model at a commit, tag or branch; None unless all of `files` are in it."""
    repository = cache() / f"models--{hub_id.replace('/', '--')}"
    reference = repository / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    snapshot = repository / "snapshots" / commit
    return snapshot if all((snapshot / name).is_file() for name in files) else None


def not_cached(hub_id: str, revision: str) -> StartupRefused:
    """What is said, with the remedy, where a model's files are not there."""
    reason = f"{hub_id} at {revision} is not in the hub's cache {cache()}"
    return StartupRefused(f"{reason}: hf download {hub_id} --revision {revision}")


def download(hub_id: str, revision: str, files: Sequence[str]) -> None:
    """Fetch `files` into the cache (HF_TOKEN and HF_HOME are honoured). StartupRefused when they cannot be had."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        snapshot_download(hub_id, revision=revision, allow_patterns=list(files))
    except (OSError, HfHubHTTPError) as error:
        reason = " ".join(str(error).split())[:300]
        raise StartupRefused(f"{hub_id} at {revision} could not be fetched: {reason}") from error


def cache() -> Path:
    """The hub's cache: HF_HUB_CACHE, else hub/ in HF_HOME."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    hub = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or home) / "hub"
    return Path(hub).expanduser()


def sha256(path: Path) -> str:
    """Of a file's bytes; a large file in the cache is named by its hash and is not read again."""
    if path.is_symlink() and re.fullmatch(r"[0-9a-f]{64}", path.resolve().name):
        return path.resolve().name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
