"""Tests that need PyTorch: run by the environment `torch`'s own pytest (tests/env/test_environments.py starts it)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.env.torch.reference import SMALL, Reference

    @pytest.fixture(scope="session")
    def small() -> Reference:
        """The reference at a small size: the real architecture, answers in milliseconds."""
        return Reference(SMALL)

    @pytest.fixture(scope="session")
    def checkpoint(small: Reference, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Its checkpoint, as the hub would hold it."""
        return small.save(tmp_path_factory.mktemp("small"))
