"""Whether this process may use an NVIDIA GPU, asked without a driver library or a model runtime."""

from __future__ import annotations

import os
from pathlib import Path

DEV = Path("/dev")
HIDING = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES that hide every GPU."""


def cuda_is_visible() -> bool:
    """True where a GPU's device file is there (WSL has one for all) and CUDA_VISIBLE_DEVICES does not hide it."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in HIDING:
        return False
    return any(DEV.glob("nvidia[0-9]*")) or (DEV / "dxg").exists()
