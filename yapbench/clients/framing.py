"""Audio into the frames of a wire, before the clock starts."""

from __future__ import annotations

import math

import numpy as np

from yapbench.clients.codec import Codec
from yapbench.clients.interface import Audio
from yapbench.errors import UsageError
from yapbench.pacing.streaming import Speech, StreamOptions


def encode(codec: Codec, options: StreamOptions, audio: Audio, *, speech_end_s: float | None) -> Speech:
    """`audio` in frames of `options.frame_ms`, the last one filled with silence, each encoded by `codec`.

    With eos=commit nothing is kept behind the frame that holds `speech_end_s` (None: the end of the audio). Raises
    UsageError when a frame would not be a whole number of samples.
    """
    samples = samples_per_frame(options.frame_ms, codec.sample_rate_hz)
    count = max(1, math.ceil(len(audio) / samples))
    end_s = len(audio) / codec.sample_rate_hz if speech_end_s is None else speech_end_s
    last = min(count, max(1, math.ceil(end_s * 1000 / options.frame_ms - 1e-6))) - 1
    kept = last + 1 if options.eos == "commit" else count
    padded = np.zeros(kept * samples, dtype=np.float32)
    heard = audio[: len(padded)]
    padded[: len(heard)] = heard
    messages = [codec.encode(frame) for frame in padded.reshape(kept, samples)]
    silence = codec.encode(np.zeros(samples, dtype=np.float32))
    frames = tuple(_bytes(message) for message in messages)
    return Speech(frames, _bytes(silence), last, binary=isinstance(silence, bytes))


def samples_per_frame(frame_ms: float, sample_rate_hz: int) -> int:
    """Raises UsageError when a frame would not be a whole number of samples."""
    exact = frame_ms * sample_rate_hz / 1000
    if abs(exact - round(exact)) > 1e-6:
        raise UsageError(f"frame_ms={frame_ms:g} is no whole number of samples at {sample_rate_hz} Hz")
    return round(exact)


def _bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message
