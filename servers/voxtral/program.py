"""Which program the engine is, and which Python it runs in. Starts nothing but that Python, for a word of Python."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from servers.common.errors import StartupRefused
from servers.voxtral.settings import Settings

MODULE: Final = "vllm.entrypoints.openai.api_server"
"""Of a Python that has vLLM; the program `vllm` of vLLM's CPU wheel does not start, which looks for a package of
another name."""
CHECKOUT: Final = Path(__file__).resolve().parents[2]
LAST_LINES: Final = 10


def program(settings: Settings) -> list[str]:
    """What is started, without flags. Raises StartupRefused where there is no vLLM."""
    if settings.engine_command is not None:
        return shlex.split(settings.engine_command)
    if settings.engine_python is not None:
        if not os.access(settings.engine_python, os.X_OK):
            raise StartupRefused(f"--engine-python (VOXTRAL_ENGINE_PYTHON): {settings.engine_python} is no program")
        return [str(settings.engine_python), "-m", MODULE]
    if (found := shutil.which("vllm")) is None:
        raise StartupRefused(
            "there is no vLLM: `yapbench install voxtral`, then `yapbench up voxtral`; or --engine-python "
            "(VOXTRAL_ENGINE_PYTHON) for a Python that has it, or VLLM_REALTIME_URL for an engine that runs already"
        )
    return [found, "serve"]


def python(settings: Settings) -> Path:
    """The engine's own interpreter: given, or beside its program. Raises StartupRefused where there is no vLLM."""
    if settings.engine_python is not None:
        return settings.engine_python
    name = program(settings)[0]
    found = shutil.which(name)
    if found is None:
        raise StartupRefused(f"there is no program {name!r}")
    return Path(found) if Path(found).name.startswith("python") else Path(found).with_name("python")


def run_python(
    settings: Settings, words: Sequence[str], *, wish: str, timeout_s: float | None = None, shown: bool = False
) -> None:
    """The engine's Python with `words`, our code in its path; what it says may be shown as it goes.

    Raises StartupRefused: `wish`, and its last lines where they were not shown.
    """
    paths = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            [str(python(settings)), *words],
            env=os.environ | {"PYTHONPATH": paths},
            stdout=None if shown else subprocess.PIPE,
            stderr=None if shown else subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartupRefused(f"{wish}: {error}") from error
    if done.returncode != 0:
        said = "what it said stands above" if shown else "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise StartupRefused(f"{wish}\n{said}")
