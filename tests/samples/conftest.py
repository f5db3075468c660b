"""Synthesisers are not on every machine; the committed audio is. Tests that speak ask for these fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

import samples
from samples.errors import EngineMissing
from samples.manifest import Clip, load
from samples.speech import speak
from samples.voices import Voice


@pytest.fixture(scope="session")
def flite() -> None:
    try:
        speak("Hello.", Voice("slt"))
    except EngineMissing:
        pytest.skip("needs flite")


@pytest.fixture(scope="session")
def espeak() -> None:
    try:
        speak("Bonjour.", Voice("fr"))
    except EngineMissing:
        pytest.skip("needs espeak-ng")


@pytest.fixture(scope="session")
def audio() -> Path:
    return Path(samples.__file__).with_name("audio")


@pytest.fixture(scope="session")
def clips(audio: Path) -> list[Clip]:
    return load(audio / "manifest.jsonl")
