"""The engine's log, followed: lines that show how far its start has come go on into ours.

Others stay in its file, which is cut when it grows too long.
"""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Final

_log = logging.getLogger("servers.voxtral.engine")
LOOK_S: Final = 0.25
LONGEST_LINE: Final = 300
MAX_LOG_BYTES: Final = 64 * 1024 * 1024

TELLING: Final = re.compile(
    r"Resolved architecture|Using max model len|Loading (model|weights)|Model loading took|"
    r"KV cache size|Available KV cache|Maximum concurrency|torch\.compile t|[Cc]apturing|init engine|Supported tasks|"
    r"Starting vLLM"
)
"""Milestones of vLLM's start."""
ALARMING: Final = re.compile(r"(^|\) )(ERROR|CRITICAL) |out of memory|^\w*Error: ")
HARMLESS: Final = re.compile(r"Error parsing config for ")
"""vLLM looks for the files of Hugging Face's layout, too, and complains when they are not there."""
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_HEAD: Final = re.compile(
    r"^(\([\w: =]+pid=\d+\) )?((INFO|WARNING|ERROR|DEBUG) \d\d-\d\d \d\d:\d\d:\d\d )?(\[[^\]]*\] )?"
)


async def follow(path: Path) -> None:
    """Until cancelled: new lines of the file, each once."""
    offset, rest = 0, b""
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < offset:
            offset, rest = 0, b""
        if size > offset:
            with path.open("rb") as file:
                file.seek(offset)
                read = file.read(size - offset)
            offset += len(read)
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                tell(line.decode(errors="replace"))
        if offset > MAX_LOG_BYTES:
            with path.open("r+b") as file:
                file.truncate(0)  # its writers append: they go on at the new end
        await asyncio.sleep(LOOK_S)


def tell(line: str) -> None:
    """One line of the engine's, where it says something."""
    plain = _COLOUR.sub("", line)
    text = _HEAD.sub("", plain).strip()[:LONGEST_LINE]
    if ALARMING.search(plain) and not HARMLESS.search(plain):
        _log.warning("engine: %s", text)
    elif TELLING.search(text):
        _log.info("engine: %s", text)
    elif text:
        _log.debug("engine: %s", text)
