"""The PyTorch that a machine's image brings: whether an environment stands on it instead of fetching gigabytes again.

Asks the Python that environments are made from. Reads files only: PyTorch itself is not imported.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TORCH = "torch"
VARIABLE = "YAPBENCH_IMAGE_TORCH"
"""Set to 0: what the image brings is left alone."""

CudaVersion = tuple[int, int]


@dataclass(frozen=True)
class ImageTorch:
    """One that is installed beside the Python which environments are made from."""

    version: str
    """As pip has it: 2.13.0+cu130."""
    cuda: CudaVersion | None
    """What it was made for; None: CPU only."""
    folder: Path
    """The site-packages that hold it."""

    @property
    def pin(self) -> str:
        """Keeps pip from putting another one into an environment that sees this one."""
        return f"{TORCH}=={self.version}"


def torch_for(lines: Iterable[str], *, gpu: bool) -> ImageTorch | None:
    """The image's PyTorch, where an environment of these requirements and pins may use it; None: it gets its own.

    `gpu`: whether servers may use one. Whether the driver suits is not asked here, for an environment's name follows
    from this answer.
    """
    wanted = list(lines)
    if os.environ.get(VARIABLE) == "0" or not any(_is_torch(line) for line in wanted):
        return None
    found = brought(Path(getattr(sys, "_base_executable", sys.executable)))
    return found if found and not objection(found, wanted, gpu=gpu) else None


def objection(found: ImageTorch, lines: Iterable[str], *, gpu: bool) -> str:
    """Why it cannot be used; "" when it can."""
    from packaging.requirements import Requirement  # comes with matplotlib; `make bench-gpu` may go without
    from packaging.version import InvalidVersion, Version

    try:
        version = Version(found.version)
    except InvalidVersion:
        return f"{found.version} is no version"
    for line in filter(_is_torch, lines):
        wanted = Requirement(line)
        applies = wanted.marker is None or wanted.marker.evaluate()
        # A build for some CUDA, 2.13.0+cu130, is that version; one that was built before its release is not.
        if wanted.url or (applies and not wanted.specifier.contains(version, prereleases=False)):
            return f"{found.pin} does not satisfy {line}"
    if gpu and found.cuda is None:
        return f"{found.pin} is for CPUs only"
    if not gpu and found.cuda is not None:
        return f"{found.pin} needs NVIDIA's packages, which are kept out where there is no GPU"
    return ""


@functools.cache
def brought(python: Path) -> ImageTorch | None:
    """The PyTorch that `python` and a virtual environment with its system packages see; None: none, or no such Python.

    Asked once in a process: it takes some tens of ms.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            [str(python), "-P", "-c", _LOOK],
            cwd="/",
            env=variables,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if not answer:
        return None
    return ImageTorch(answer["version"], _cuda_of(Path(answer["folder"])), Path(answer["folder"]))


_LOOK = """
import json
from importlib import metadata
try: found = metadata.distribution("torch")
except metadata.PackageNotFoundError: print("null")
else: print(json.dumps({"version": found.version, "folder": str(found.locate_file(""))}))
"""


def _cuda_of(folder: Path) -> CudaVersion | None:
    try:
        text = (folder / TORCH / "version.py").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    cuda = re.search(r"^cuda\b[^=]*=\s*['\"](\d+)\.(\d+)", text, re.MULTILINE)
    return (int(cuda[1]), int(cuda[2])) if cuda else None


def _is_torch(line: str) -> bool:
    return re.match(rf"{TORCH}(?![\w.-])", line, re.IGNORECASE) is not None
