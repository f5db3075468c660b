"""`--model=random`: its folder is made by the engine's own Python, once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from servers.common.errors import StartupRefused
from servers.voxtral.engine.random_folder import random_folder
from servers.voxtral.settings import Settings

MAKER = """#!/bin/sh
echo "$@" >> {calls}
mkdir "$4" && echo made > "$4/params.json" && echo made > "$4/tekken.json"
"""


def settings(python: Path | str) -> Settings:
    return Settings.model_validate({"api_key": "s", "model": "random", "engine_python": python})


def interpreter(folder: Path, script: str) -> Path:
    """A program that stands in for the engine's Python."""
    path = folder / "python"
    path.write_text(script)
    path.chmod(0o755)
    return path


def test_it_is_made_once_and_whole(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    python = interpreter(tmp_path, MAKER.format(calls=calls))
    for _ in range(2):
        folder = random_folder(settings(python), tmp_path / "copies")
    assert (folder / "tekken.json").read_text() == "made\n"
    assert calls.read_text().count("-m servers.voxtral.tiny.make --random") == 1
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["random"]


def test_half_of_one_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "copies" / "random").mkdir(parents=True)
    (tmp_path / "copies" / "random" / "params.json").write_text("half")
    python = interpreter(tmp_path, MAKER.format(calls=tmp_path / "calls"))
    assert (random_folder(settings(python), tmp_path / "copies") / "params.json").read_text() == "made\n"


def test_what_its_maker_says_is_the_reason(tmp_path: Path) -> None:
    python = interpreter(tmp_path, "#!/bin/sh\necho no vocabulary here\nexit 1\n")
    with pytest.raises(StartupRefused, match=r"--model=random: its folder could not be made\nno vocabulary here"):
        random_folder(settings(python), tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_python_without_the_engine_s_packages_says_which(tmp_path: Path) -> None:
    with pytest.raises(StartupRefused, match="mistral_common"):
        random_folder(settings(sys.executable), tmp_path / "copies")
