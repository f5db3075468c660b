"""Which build of PyTorch pip should fetch for this machine's driver: one version is built for several CUDAs.

Asks pip what it would take and what else it could have; fetches nothing but the metadata that pip needs. Knows no
index: what pip finds is the user's setting.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.common.devices import cuda_is_visible
from yapbench.errors import UsageError
from yapbench.image import CudaVersion
from yapbench.monitoring import gpu

OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
"""Per major version of CUDA, whose minor versions share it: docs.nvidia.com/deploy/cuda-compatibility."""


@dataclass(frozen=True)
class Driver:
    """What runs a build."""

    version: str
    cuda: CudaVersion
    """The newest CUDA that it knows. From CUDA 11 on it runs every minor version of that major one, and older ones."""

    def runs(self, cuda: CudaVersion | None) -> bool:
        return cuda is not None and cuda[0] <= self.cuda[0]


def driver() -> Driver | None:
    """This machine's; None without a GPU that servers may use, or where it does not say what it knows."""
    found = gpu.Gpus.open() if cuda_is_visible() else None
    if found is None:
        return None
    with contextlib.closing(found):
        return Driver(found.describe()[0].driver, found.cuda_version) if found.cuda_version else None


def pin_for(driver: Driver, python: Path, constraints: Path | None) -> str:
    """`torch==2.13.0+cu126` where pip's own choice is not for this driver but that is; "" where it is, or is unknown.

    `python`: of the environment, whose pip is asked. Raises UsageError when no build that pip finds suits the driver.
    """
    version, cuda = _pips_choice(python, constraints)
    if not version or cuda is None or driver.runs(cuda):
        return ""
    chosen = fitting(version, _versions(python), driver)
    if chosen:
        return f"torch=={chosen}"
    wanted, oldest = f"CUDA {written(cuda)}", OLDEST_DRIVERS.get(cuda[0])
    raise UsageError(
        f"driver {driver.version} knows CUDA {written(driver.cuda)}, and the torch {version} that pip finds was built "
        f"for {wanted}{f' (driver {oldest} or newer)' if oldest else ''}: take a machine with a newer driver; or an "
        f"image whose Python has torch {version.partition('+')[0]}; or let pip find a build for CUDA {driver.cuda[0]} "
        "(PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS)"
    )


def fitting(version: str, available: Iterable[str], driver: Driver) -> str:
    """The build of `version` with the newest CUDA that `driver` runs; "" when there is none."""
    from packaging.version import InvalidVersion, Version  # comes with matplotlib; `make bench-gpu` may go without

    public = Version(version).public
    found = []
    for text in available:
        try:
            one = Version(text)
        except InvalidVersion:
            continue
        if one.public == public and (cuda := cuda_of_tag(one.local or "")) and driver.runs(cuda):
            found.append((cuda, text))
    return max(found, default=((0, 0), ""))[1]


def cuda_of_tag(local: str) -> CudaVersion | None:
    """ "cu126" -> (12, 6), as PyTorch names its builds; None for another."""
    tag = re.fullmatch(r"cu(\d\d)(\d)", local)
    return (int(tag[1]), int(tag[2])) if tag else None


def built_for(requires: Iterable[str]) -> CudaVersion | None:
    """The CUDA that a wheel was built for, from what it asks for; None: CPU only, or not told.

    `nvidia-cuda-runtime-cu12==12.8.90`, `nvidia-cuda-runtime==13.0.48` and `cuda-toolkit[cudart]==13.0.2` tell.
    """
    for line in requires:
        told = re.match(r"(?:nvidia-cuda-runtime(?:-cu\d+)?|cuda-toolkit)(?:\[[^\]]*\])?\s*\(?==\s*(\d+)\.(\d+)", line)
        if told:
            return int(told[1]), int(told[2])
    return None


def written(version: CudaVersion) -> str:
    """(13, 0) -> "13.0"."""
    return ".".join(map(str, version))


def _pips_choice(python: Path, constraints: Path | None) -> tuple[str, CudaVersion | None]:
    """The version pip would install, and its CUDA; ("", None) when it finds none: installing will say why."""
    words = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-", "torch"]
    answer = _pip(python, [*words, *(["-c", str(constraints)] if constraints else [])])
    try:
        found = json.loads(answer)["install"][0]["metadata"]
    except (ValueError, KeyError, IndexError):
        return "", None
    version = str(found["version"])
    return version, cuda_of_tag(version.partition("+")[2]) or built_for(found.get("requires_dist", []))


def _versions(python: Path) -> list[str]:
    """Every version of torch that pip finds, builds for some CUDA among them."""
    listed = re.search(r"^Available versions: (.*)$", _pip(python, ["index", "versions", "torch"]), re.MULTILINE)
    return [word.strip() for word in listed[1].split(",")] if listed else []


def _pip(python: Path, words: Sequence[str]) -> str:
    """What pip prints; "" when it fails."""
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(
        [str(python), "-m", "pip", *words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | quiet,
    )
    return done.stdout if done.returncode == 0 else ""
