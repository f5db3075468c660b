"""The names that older benchmark clients gave to the times of a stream, and which of our measures each one is."""

from __future__ import annotations

from typing import Final

OLDER: Final = {
    "connect_ms": "connect",
    "handshake_ms": "handshake",
    "first_response_ms": "first_response",
    "time_to_first_word_ms": "first_word",
    "avg_partial_gap_ms": "partial_gap",
    "send_duration_ms": "send",
    "delta_to_audio_ms": "delta_to_audio",
    "eos_latency_ms": "last_frame",
    "flush_to_final_ms": "flush",
    "post_send_to_final_ms": "flush",
    "decode_tail_ms": "last_partial",
}
"""Older name -> one of streams.times.TIMES. `rtf`, `xrt` and `partials` stand beside them under these names.

What counted as end of speech was the last audio frame, so the older EOS latency is `last_frame`: it does not see a
client that is late, and holds no silence that the server waited for.
"""
