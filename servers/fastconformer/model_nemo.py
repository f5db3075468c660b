"""The doors to NeMo that this server uses beside the shared ones, imported as quietly."""

from __future__ import annotations

from servers.common.model_nemo import quiet

with quiet():
    from nemo.collections.asr.models import EncDecHybridRNNTCTCBPEModel
    from nemo.collections.asr.parts.submodules.transducer_decoding.label_looping_base import BatchedLabelLoopingState

__all__ = ["BatchedLabelLoopingState", "EncDecHybridRNNTCTCBPEModel"]
