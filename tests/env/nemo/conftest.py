"""Tests that need NeMo: run by the environment `nemo`'s own pytest (tests/env/test_environments.py starts it)."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("nemo") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.env.nemo.fixtures import (  # noqa: F401 (fixtures are found here by name)
        clips,
        engine_of,
        one_thread,
        small_model,
        streams,
        tiny_engine_of,
        tiny_model,
    )
