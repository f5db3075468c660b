"""Results at a URL (fsspec: s3://, gs://, file:// ...), where no folder is shared.

Each attempt has a folder of its own there and its trial.json is written last: what is half uploaded never counts as
finished, and a late duplicate stands beside the first, never in it.
"""

from __future__ import annotations

import importlib
import json
import secrets
import tempfile
from pathlib import Path
from typing import Any

from yapbench import store
from yapbench.engines import attempts
from yapbench.errors import UsageError


class Shelf:
    """One sweep's trials at `url`, laid out <url>/<sweep>/<trial id>/<attempt>/."""

    def __init__(self, url: str, sweep: str) -> None:
        """Raises UsageError for a URL that fsspec does not know or cannot open here."""
        try:
            fsspec: Any = importlib.import_module("fsspec")
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as problem:
            raise UsageError(f"--out={url}: {problem}") from problem
        self._root = f"{root.rstrip('/')}/{sweep}"

    def finished(self) -> dict[str, list[str]]:
        """Trial id -> folders of its finished attempts, sorted."""
        found: dict[str, list[str]] = {}
        self._files.invalidate_cache()
        for path in sorted(self._files.glob(f"{self._root}/*/*/{store.TRIAL}")):
            attempt = str(path).rpartition("/")[0]
            found.setdefault(attempt.rpartition("/")[0].rpartition("/")[2], []).append(attempt)
        return found

    def put(self, folder: Path) -> None:
        """Upload a finished trial's folder; trial.json last."""
        target = f"{self._root}/{folder.name}/{secrets.token_hex(4)}"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in sorted(files, key=lambda path: path == folder / store.TRIAL):
            name = f"{target}/{path.relative_to(folder).as_posix()}"
            self._files.makedirs(name.rpartition("/")[0], exist_ok=True)
            # Under its own name only when whole, also where a file can be seen while it grows.
            self._files.put_file(str(path), f"{name}.part" if self._shows_parts else name)
            if self._shows_parts:
                self._files.mv(f"{name}.part", name)

    def get(self, found: list[str], final: Path) -> None:
        """Bring a trial here: a successful attempt before a failed one, else the first; a finished one here stays."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / store.TRIAL

            def failed(attempt: str) -> bool:
                self._files.get_file(f"{attempt}/{store.TRIAL}", str(path))
                return bool(json.loads(path.read_bytes()).get("status") == "failed")

            chosen = min(found, key=lambda attempt: (failed(attempt), attempt)) if len(found) > 1 else found[0]
        target = attempts.new(final)
        for name in self._files.find(chosen):
            path = target / str(name).removeprefix(chosen).lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(name, str(path))
        attempts.publish(target, final)

    def fetch_all(self, folder: Path) -> None:
        """Bring every finished trial into the sweep's folder here that is not there yet."""
        for name, found in self.finished().items():
            if not store.finished(folder / name):
                self.get(found, folder / name)

    @property
    def _shows_parts(self) -> bool:
        """A plain file system does; object stores show a file only when it is whole, and have no rename."""
        return "file" in self._files.protocol
