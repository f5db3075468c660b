"""Finds the model file and says what it is. Needs no model runtime and imports no other package's code."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from importlib import metadata
from pathlib import Path

from servers.common.errors import StartupRefused
from servers.common.interfaces import ModelIdentity
from servers.smart_turn.settings import Settings

MODEL_ID = "pipecat-ai/smart-turn-v3"
DISTRIBUTION = "pipecat-ai"
FOLDER = Path("audio/turn/smart_turn/data")
PATTERN = "smart-turn-v3*-cpu.onnx"
INSTALL = "pip install --no-deps -c constraints.txt pipecat-ai"


def locate(model: str) -> Path:
    """The weights of `auto`, `v3-onnx` or a path; StartupRefused, with the remedy, when they are not there."""
    if model not in ("auto", "v3-onnx"):
        path = Path(model).expanduser()
        if not path.is_file():
            raise StartupRefused(f"--model={model}: there is no such file")
        return path
    # Asking for the parent's spec does not run the package: its imports take seconds and are not wanted here.
    spec = importlib.util.find_spec("pipecat")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for place in places for path in (Path(place) / FOLDER).glob(PATTERN)]
    if not found:
        reason = f"the Smart Turn v3 model lies in the {DISTRIBUTION} wheel, which is not installed here"
        raise StartupRefused(f"{reason}: {INSTALL}")
    return max(found, key=lambda path: _version(path.name))


def identify(settings: Settings) -> ModelIdentity:
    """Which weights `settings` stand for. Reads the file (9 MB) for its hash; raises like `locate`."""
    path = locate(settings.model)
    shipped = settings.model in ("auto", "v3-onnx")
    revision = f"{path.stem} ({DISTRIBUTION} {metadata.version(DISTRIBUTION)})" if shipped else path.stem
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelIdentity(model_id=MODEL_ID if shipped else path.name, revision=revision, sha256=sha256)


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))
