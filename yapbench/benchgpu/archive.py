"""One .tar.gz of a bench: complete or absent, and never larger than its limit.

What does not fit is left out largest first, of equals the last measured first, and named in manifest.json.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yapbench import store

LIMIT_BYTES: Final = 16 << 20
LOG_TAIL_BYTES: Final = 64 << 10
RAW: Final = (store.UTTERANCES_FILE, store.MACHINE_FILE, "server.log", "report.html")
"""Names of what may be left out; everything else is small and always there."""

SKIPPED: Final = ("clips.npz", ".lock", "notebook.ipynb")


@dataclass(frozen=True)
class Item:
    """One file as it goes in."""

    name: str
    content: bytes
    modified_ns: int

    @property
    def is_raw(self) -> bool:
        return Path(self.name).name in RAW


def collect(root: Path) -> list[Item]:
    """The files under `root` that belong in, by name; of a server's log only its end."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if hidden or path.name in SKIPPED or path.name.endswith((".tar.gz", ".tmp")):
            continue
        content = path.read_bytes()
        if path.suffix == ".log":
            content = content[-LOG_TAIL_BYTES:]
        found.append(Item(path.relative_to(root).as_posix(), content, path.stat().st_mtime_ns))
    return found


def write(root: Path, path: Path, *, limit_bytes: int = LIMIT_BYTES) -> dict[str, Any]:
    """Pack `root` into `path`; returns the manifest. Raises ValueError when even without raw files it is too large."""
    items, left_out = collect(root), list[Item]()
    while True:
        manifest = _manifest(items, left_out, limit_bytes)
        content = _pack(items, manifest)
        excess = len(content) - limit_bytes
        if excess <= 0:
            break
        gone = _next_out(items, excess)
        if not gone:
            raise ValueError(f"{path}: {len(content)} bytes without any raw file, more than {limit_bytes}")
        left_out += gone
        items = [item for item in items if item not in gone]
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_bytes(path, content)
    return manifest


def _next_out(items: Sequence[Item], excess: int) -> list[Item]:
    """The largest raw files, so many that their packed size is about what is too much."""
    gone, freed = list[Item](), 0
    for item in sorted((item for item in items if item.is_raw), key=lambda i: (-len(i.content), -i.modified_ns)):
        if freed >= excess:
            break
        gone.append(item)
        freed += len(_pack([item], {}))
    return gone


def _manifest(items: Sequence[Item], left_out: Sequence[Item], limit_bytes: int) -> dict[str, Any]:
    files = {
        item.name: {"bytes": len(item.content), "sha256": hashlib.sha256(item.content).hexdigest()} for item in items
    }
    lost = [{"name": item.name, "bytes": len(item.content)} for item in left_out]
    words = f"{len(lost)} raw files left out, the largest first, to stay within {limit_bytes} bytes"
    return {"files": files, "left_out": lost, "note": words if lost else "nothing was left out"}


def _pack(items: Sequence[Item], manifest: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    text = json.dumps(manifest, indent=1, sort_keys=True).encode()
    with tarfile.open(fileobj=sink, mode="w:gz", compresslevel=6) as archive:
        for item in [Item("manifest.json", text, 0), *items]:
            entry = tarfile.TarInfo(f"bench/{item.name}")
            entry.size, entry.mtime = len(item.content), item.modified_ns // 1_000_000_000
            archive.addfile(entry, io.BytesIO(item.content))
    return sink.getvalue()
