"""The doors to NeMo that servers share: imported quietly, a file restored, a device chosen.

Only model files import it; where NeMo is not installed nothing else of servers/common misses it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from servers.common.errors import StartupRefused
from servers.common.garbage import postponed


@contextmanager
def quiet() -> Iterator[None]:
    """Deprecations of NeMo's own dependencies are not ours to mend, and its notes on configuration are no news here."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


with quiet(), postponed():
    from nemo.collections.asr.models import ASRModel
    from nemo.utils import logging as nemo_logging

nemo_logging.setLevel(logging.ERROR)

__all__ = ["ASRModel", "choose_device", "quiet", "restore"]


def restore(path: Path, device: torch.device) -> Any:
    """NeMo's model of a .nemo file on `device`. It comes in train mode, where dropout is active: `eval()` is due.

    Raises StartupRefused for a file that NeMo cannot load.
    """
    with quiet():
        try:
            return ASRModel.restore_from(str(path), map_location=device)
        except Exception as error:  # a .nemo file is an archive of configuration that names classes: anything
            raise StartupRefused(f"{path} cannot be loaded as a NeMo model: {error}") from error


def choose_device(wanted: str, *, variable: str, log: logging.Logger) -> torch.device:
    """`auto` is a GPU if there is one, and says so when there is none; anything else must be there.

    `variable`: the environment's name of --device, for the line of the StartupRefused that is raised.
    """
    there = torch.cuda.is_available()
    if wanted == "auto":
        if not there:
            log.warning("no CUDA device is visible: running on the CPU")
        return torch.device("cuda:0" if there else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and not (there and (device.index or 0) < torch.cuda.device_count()):
        count = torch.cuda.device_count() if there else 0
        raise StartupRefused(
            f"--device={wanted} ({variable}): {count} CUDA devices are visible; --device=cpu runs on the CPU"
        )
    return device
