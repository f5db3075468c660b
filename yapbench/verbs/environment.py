"""Single values of the environment, or of .env where the environment has none: what is set for a client."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values

from servers.common.settings import DOTENV


def value_of(name: str) -> str:
    """The variable's value; "" when neither has it. The environment wins, an empty value counts as unset."""
    return os.environ.get(name) or (file_values().get(name) or "")


def adopt(names: Iterable[str]) -> None:
    """Put these variables of .env into this process's environment, and so into its children's, where they are unset."""
    for name in names:
        if value := value_of(name):
            os.environ[name] = value


def file_values(path: Path = Path(DOTENV)) -> dict[str, str]:
    """The pairs of a .env file in the current folder, taken literally; {} where there is none."""
    return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value}
