"""End-of-turn detection: has the speaker finished? Smart Turn behind POST /raw, batched."""
