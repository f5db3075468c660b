"""The doors to NeMo that this server uses, imported without what NeMo prints and warns of while it is loaded."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


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


with quiet():
    from nemo.collections.asr.models import ASRModel, EncDecHybridRNNTCTCBPEModel
    from nemo.collections.asr.parts.submodules.transducer_decoding.label_looping_base import BatchedLabelLoopingState
    from nemo.utils import logging as nemo_logging

nemo_logging.setLevel(logging.ERROR)

__all__ = ["ASRModel", "BatchedLabelLoopingState", "EncDecHybridRNNTCTCBPEModel", "quiet"]
