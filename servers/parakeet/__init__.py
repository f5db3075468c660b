"""Accurate English speech-to-text over REST and WebSocket: Parakeet-TDT, micro-batched, OpenAI-compatible."""
