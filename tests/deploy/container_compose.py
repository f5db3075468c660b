"""Compose files as the engine sees them: merge keys and variables put in, an override laid over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RESET = object()


class Loader(yaml.SafeLoader):
    """YAML with compose's own tag `!reset`: take away what the files before said."""


Loader.add_constructor("!reset", lambda loader, node: RESET)


def load(*names: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """The files of deploy/, the later over the earlier. Raises KeyError for a required variable that is not given."""
    merged: dict[str, Any] = {}
    for name in names:
        text = interpolated((DEPLOY / name).read_text(encoding="utf-8"), variables)
        merged = laid_over(merged, yaml.load(text, Loader))
    return {name: value for name, value in merged.items() if not name.startswith("x-")}


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME:-default}` and `${NAME:?why}`, in what is no comment."""

    def value(found: re.Match[str]) -> str:
        name, kind, word = found.groups()
        given = variables.get(name, "")
        if kind == ":?" and not given:
            raise KeyError(f"{name}: {word}")
        return given or (word or "")

    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, "\n".join(lines))


def laid_over(under: Any, over: Any) -> Any:
    """Mappings are merged, a `command` and single values replaced, other lists joined."""
    if isinstance(under, dict) and isinstance(over, dict):
        merged = dict(under)
        for name, value in over.items():
            replaced = value if name == "command" or name not in under else laid_over(under[name], value)
            merged[name] = replaced
        return {name: value for name, value in merged.items() if value is not RESET}
    return [*under, *over] if isinstance(under, list) and isinstance(over, list) else over
