"""The doors to NeMo that this server uses beside the shared ones, imported as quietly."""

from __future__ import annotations

from servers.common.model_nemo import quiet

with quiet():
    from nemo.collections.asr.models import EncDecHybridRNNTCTCBPEModel, EncDecRNNTBPEModel
    from nemo.collections.common.tokenizers import SentencePieceTokenizer

__all__ = ["EncDecHybridRNNTCTCBPEModel", "EncDecRNNTBPEModel", "SentencePieceTokenizer"]
