"""Streaming speech-to-text, English and French: Kyutai STT, many live streams in one step of the model."""
