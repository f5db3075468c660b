"""YAML that a person has written: a sweep file, a value on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from yapbench.errors import UsageError


def parse(text: str, *, source: object) -> Any:
    """What `text` says. Raises UsageError that names its `source` when it is no YAML, or nested as nobody writes it."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise UsageError(f"{source}: not YAML: {problem}") from None
    except RecursionError:
        raise UsageError(f"{source}: not YAML that can be read: nested too deep") from None


def read(path: Path) -> str:
    """The text of a file. Raises UsageError that names it; FileNotFoundError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path}: cannot be read: {problem}") from None
