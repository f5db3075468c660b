"""Whether what runs is what was asked for: same settings, same code, same environment, same key, and ready."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from servers.common.settings import effective, table
from yapbench import catalog, envs, keys, probe, service, store, trial
from yapbench.errors import CorruptFile
from yapbench.pod.asked import Asked
from yapbench.service import Service

MADE_OF = "pod.json"
"""In the server's folder: what it was started from, to be told from what stands here now."""


def reason(asked: Asked, shown: Service) -> str:
    """Why it has to be started, or started anew; "" when it runs as asked."""
    if shown.state == "down":
        return "it is not up"
    if shown.state == "starting":
        return "a start was broken off"
    if changed := _changed(asked, service.settings_of(asked.name, run=asked.folder.parent)):
        return f"other flags: {changed}"
    kept = _stored(asked)
    if {name: kept.get(name) for name in _made_of(asked)} != _made_of(asked):
        return "its code or its environment is another one by now"
    if _digest(asked, str(kept.get("salt"))) != kept.get("keys"):
        return "other keys"
    try:
        answer, _ = probe.fetch(f"{shown.url}/ready")
    except OSError as error:
        return f"/ready does not answer ({error})"
    return "" if answer == 200 else f"/ready answers {answer}"


def remember(asked: Asked) -> None:
    """Keep what it is about to be started from; of its keys only what tells others from them."""
    salt = secrets.token_hex(16)
    store.write_json(asked.folder / MADE_OF, _made_of(asked) | {"salt": salt, "keys": _digest(asked, salt)})


def _changed(asked: Asked, flags: Mapping[str, str]) -> str:
    """The settings that differ between what runs and what was asked for, in words."""
    running: dict[str, Any] = effective(catalog.parsed_settings(asked.entry, flags))
    wanted: dict[str, Any] = effective(asked.settings)
    if wanted["port"] == 0:  # any
        wanted["port"] = running["port"]
    plain = [knob.name for knob in table(type(asked.settings)) if not knob.secret]
    return ", ".join(f"{name} {running[name]} -> {wanted[name]}" for name in plain if running[name] != wanted[name])


def _made_of(asked: Asked) -> dict[str, str]:
    """Code and interpreters of what would be started now."""
    python = envs.interpreter(catalog.environment_of(asked.entry, asked.flags))
    beside = envs.interpreters_beside(asked.entry, asked.settings)
    return {"code_sha256": trial.code_sha256(asked.name), "python": str(python), **beside}


def _digest(asked: Asked, salt: str) -> str:
    """Of all keys in force: slow to guess from, for a user's may be short."""
    found = keys.for_start(catalog.parsed_settings(asked.entry, asked.flags)).given
    text = "\0".join(f"{name}={key}" for name, key in sorted(found.items()))
    return hashlib.scrypt(text.encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()


def _stored(asked: Asked) -> dict[str, Any]:
    """As it was remembered; {} where nothing was, or nothing that can be read."""
    try:
        value = store.read_json(asked.folder / MADE_OF)
    except CorruptFile:
        return {}
    return value if isinstance(value, dict) else {}
