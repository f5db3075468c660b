"""Neither a developer's `.env` nor their variables reach a test of a server's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.common.knobs import table
from servers.common.settings import BaseServerSettings


def clear(patch: pytest.MonkeyPatch, settings: type[BaseServerSettings], folder: Path) -> None:
    """Goes to `folder`, where there is no `.env`, and takes away every variable that `settings` read."""
    patch.chdir(folder)
    for row in table(settings):
        for name in row.env:
            patch.delenv(name, raising=False)
