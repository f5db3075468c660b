"""Streaming speech-to-text on NeMo's cache-aware FastConformer: every client batched in one model step."""
