"""The private copy of a model's folder that the engine is given: links, and a tekken.json of its own with the delay.

The engine reads the delay there and nowhere else. The source, which may be the hub's cache and shared with others, is
never written to. The copy's name says which source, tokenizer and delay it is of: engines side by side either share
one that is the same to the last byte, or have one each.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from servers.common.errors import StartupRefused
from servers.voxtral.weights import TEKKEN


def private_copy(source: Path, model_dir: Path, *, delay_ms: int) -> Path:
    """Makes it, or brings an earlier one up to date; returns the folder.

    Raises StartupRefused where the source has no streaming tokenizer or the copy cannot be written.
    """
    tekken = patched(source / TEKKEN, delay_ms)
    source = source.resolve()
    digest = hashlib.sha256(b"\0".join([os.fsencode(source), tekken])).hexdigest()
    folder = model_dir / f"{_word(source.name)}-{delay_ms}ms-{digest[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _holds(folder / TEKKEN, tekken):
            write_atomically(folder / TEKKEN, tekken)
        wanted = {path.name: path for path in source.iterdir() if path.is_file() and path.name != TEKKEN}
        for path in folder.iterdir():
            if path.name not in wanted and path.is_symlink():
                path.unlink(missing_ok=True)
        for name, target in wanted.items():
            _link(folder / name, target)
    except OSError as error:
        raise StartupRefused(f"--model-dir={model_dir} (VOXTRAL_MODEL_DIR): {error}") from error
    return folder.absolute()


def patched(tekken: Path, delay_ms: int) -> bytes:
    """The tokenizer's JSON with `audio.transcription_delay_ms`, an int: a string there stops the engine.

    Raises StartupRefused for what is no streaming tokenizer.
    """
    try:
        content: dict[str, Any] = json.loads(tekken.read_bytes())
        audio = content["audio"]
        streams = audio["transcription_format"] == "streaming"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupRefused(f"{tekken} has no settings for audio: {error!r}") from error
    if not streams:
        raise StartupRefused(f"{tekken}: the model does not stream (transcription_format is not streaming)")
    audio["transcription_delay_ms"] = delay_ms
    return json.dumps(content, ensure_ascii=False).encode()


def write_atomically(path: Path, content: bytes) -> None:
    """The file is there whole or as it was before, also for another process that writes it now."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _holds(path: Path, content: bytes) -> bool:
    """Whether it is a file of its own, not a link, with this content."""
    return not path.is_symlink() and path.is_file() and path.read_bytes() == content


def _link(link: Path, target: Path) -> None:
    """A link to the file itself, whatever links lead there."""
    with contextlib.suppress(OSError):
        if link.is_symlink() and link.readlink() == target.resolve():
            return
    with tempfile.TemporaryDirectory(dir=link.parent, prefix=f".{link.name}-") as scratch:
        made = Path(scratch) / link.name
        made.symlink_to(target.resolve())
        made.replace(link)


def _word(name: str) -> str:
    """A folder's name without what a path or a shell would trip over."""
    return re.sub(r"[^\w.-]+", "-", name) or "model"
