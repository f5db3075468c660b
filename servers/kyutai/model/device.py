"""Which device and which precision the settings mean here."""

from __future__ import annotations

import logging
from typing import Final

import torch

from servers.common.errors import StartupRefused

_log = logging.getLogger("servers.kyutai")
DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(asked: str) -> torch.device:
    """`auto` is a GPU if there is one, and says so when there is none; StartupRefused for one that is not there."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        if not count:
            _log.warning("no CUDA device is visible: running on the CPU")
        return torch.device("cuda:0" if count else "cpu")
    device = torch.device("cuda:0" if asked == "cuda" else asked)
    if device.type == "cuda" and device.index >= count:
        raise StartupRefused(
            f"--device={asked} (KYUTAI_DEVICE): {count} CUDA devices are visible; --device=cpu runs on the CPU"
        )
    return device


def choose_dtype(asked: str, device: torch.device, *, flag: str) -> torch.dtype:
    """On a CPU float16, which is slow there or missing, is replaced by float32; a GPU without bfloat16 is refused."""
    dtype = DTYPES[asked]
    if dtype is torch.float16 and device.type == "cpu":
        _log.warning("--%s=float16 is replaced by float32 on a CPU", flag)
        return torch.float32
    if dtype is torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise StartupRefused(f"--{flag}=bfloat16: {torch.cuda.get_device_name(device)} has no bfloat16")
    return dtype
