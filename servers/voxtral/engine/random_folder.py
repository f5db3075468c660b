"""`--model=random`: a folder with the published size and no weights, made by the Python that has vLLM.

Its vocabulary comes from a package of the engine's environment (mistral_common), which the gateway's own lacks.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from servers.voxtral.program import run_python
from servers.voxtral.settings import Settings
from servers.voxtral.weights import PARAMS, TEKKEN

MODULE: Final = "servers.voxtral.tiny.make"
TIMEOUT_S: Final = 300.0


def random_folder(settings: Settings, model_dir: Path) -> Path:
    """The folder `random` in `model_dir`, made unless it is there. Raises StartupRefused with what its maker said."""
    folder = model_dir / "random"
    if all((folder / name).is_file() for name in (PARAMS, TEKKEN)):
        return folder
    model_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model_dir, prefix=".random-") as scratch:
        made = Path(scratch) / "random"
        words = ["-m", MODULE, "--random", str(made)]
        run_python(settings, words, wish="--model=random: its folder could not be made", timeout_s=TIMEOUT_S)
        shutil.rmtree(folder, ignore_errors=True)  # half of one
        try:
            made.rename(folder)
        except OSError:  # somebody else was quicker: theirs is the same
            if not (folder / TEKKEN).is_file():
                raise
    return folder
