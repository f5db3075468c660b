"""Real recordings for tests: the folders in YAPBENCH_SPEECH (separated by colons), or shared/ beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared"


def folders() -> list[Path]:
    """Folders that hold real speech; none on most machines."""
    named = [Path(name) for name in os.environ.get("YAPBENCH_SPEECH", "").split(":") if name]
    return [path for path in (named or [BESIDE / "speech", BESIDE / "turns"]) if path.is_dir()]


def clips() -> list[Path]:
    """Every FLAC file there; skips the test where there is none."""
    found = sorted(path for folder in folders() for path in folder.rglob("*.flac"))
    if not found:
        pytest.skip("needs YAPBENCH_SPEECH, a folder of real speech")
    return found
