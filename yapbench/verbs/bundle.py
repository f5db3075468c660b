"""Packs what a bug report needs into one .tar.gz: texts only, without keys, audio or the name of the user's home."""

from __future__ import annotations

import io
import os
import re
import tarfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from servers.common.auth import redact
from yapbench.verbs import environment

MASK: Final = "***"
_SECRET_NAME: Final = re.compile(r"(?i)(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)")
_SHORTEST: Final = 4
"""Characters of a value that is looked for; a shorter one would blot out ordinary words."""


def pack(path: Path, texts: Mapping[str, str], *, secrets: Iterable[str] = ()) -> Path:
    """Write the texts, by file name, with every known secret masked. The archive appears complete or not at all."""
    hidden = {*secrets, *known_secrets()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    stem = path.name.removesuffix(".tar.gz")
    with tarfile.open(part, "w:gz") as archive:
        for name, text in texts.items():
            content = clean(text, hidden).encode()
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size, member.mtime = len(content), int(time.time())
            archive.addfile(member, io.BytesIO(content))
    part.replace(path)
    return path


def known_secrets() -> set[str]:
    """Values of variables, of the environment and .env, whose names say that they are secret; each of several, too."""
    values = {**environment.file_values(), **os.environ}
    found = {value for name, value in values.items() if _SECRET_NAME.search(name)}
    return found | {part.strip() for value in found for part in value.split(",")}


def clean(text: str, secrets: Iterable[str]) -> str:
    """The text without these values, without what looks like a key in a URL or header, and without the home folder."""
    for secret in sorted(secrets, key=len, reverse=True):  # the longest first: one may be part of another
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, MASK)
    return redact(text).replace(str(Path.home()), "~")
