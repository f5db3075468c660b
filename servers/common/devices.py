"""Whether this process may use an NVIDIA GPU, asked without a driver library or a model runtime."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from servers.common.errors import StartupRefused

DEV = Path("/dev")
HIDING = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES that hide every GPU."""


def cuda_is_visible() -> bool:
    """True where a GPU's device file is there (WSL has one for all) and CUDA_VISIBLE_DEVICES does not hide it."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in HIDING:
        return False
    return any(DEV.glob("nvidia[0-9]*")) or (DEV / "dxg").exists()


def check_device(device: str, *, variable: str) -> None:
    """Raises StartupRefused for a CUDA device where none is visible: before the seconds that importing a runtime takes.

    `variable`: the environment's name of --device. Whether it is that very device is for the runtime to say.
    """
    if device.startswith("cuda") and not cuda_is_visible():
        raise StartupRefused(f"--device={device} ({variable}): no CUDA device is visible; --device=cpu runs on the CPU")


def check_runtime(packages: Sequence[str], *, server: str) -> None:
    """Raises StartupRefused, with the remedy, where `server` lacks what it computes with."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        lacking = " and ".join(missing)
        raise StartupRefused(
            f"this server needs {lacking}, which {sys.executable} does not have: "
            f"`yapbench install {server}`, then `yapbench up {server}`"
        )
