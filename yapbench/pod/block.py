"""What is said of a server that is up: where it is, who gets in, and the commands for everything after."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from yapbench.command import CHECKOUT
from yapbench.pod import outside
from yapbench.pod.keyfile import Key
from yapbench.service import Service

WIDTH = 9


def lines(shown: Service, host: str, key: Key, told: Mapping[str, str], *, seen_from: Path) -> list[str]:
    """The block. `told`: what the pod's host has told (outside.py); `seen_from`: where its commands will be typed."""
    name, port = shown.name, shown.port or 0
    yapbench = _typed(CHECKOUT / ".venv" / "bin" / "yapbench", seen_from)
    rows = [("here", shown.url)]
    rows += [("outside", f"{way.url}   ({way.note})") for way in outside.ways(port, host, told)]
    rows.append(("tunnel", f"{outside.tunnel(port, told)}   (on your own machine)"))
    rows += [
        ("key", _key(key, host, seen_from)),
        ("try", f"{yapbench} probe {name}"),
        ("log", f"{yapbench} logs {name} --follow"),
        ("status", f"{yapbench} status {name}"),
        ("stop", f"{yapbench} down {name}"),
    ]
    return [f"{name} is up and has answered (pid {shown.pid})", *(f"  {word:<{WIDTH}}{text}" for word, text in rows)]


def _key(key: Key, host: str, seen_from: Path) -> str:
    if not key.variable:
        return f"none is asked for: it listens on {host} only"
    if key.path is None:
        return f"as you have set it in {key.variable}"
    file = _typed(key.path, seen_from)
    return f"{key.variable}, made here, in {file} (mode 600); for clients in this shell: . {file}"


def _typed(path: Path, seen_from: Path) -> str:
    """A path as one types it there."""
    near = seen_from == CHECKOUT and path.is_relative_to(CHECKOUT)
    return shlex.quote(str(path.relative_to(CHECKOUT) if near else path))
