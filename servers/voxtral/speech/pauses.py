"""Where nobody speaks: the energy of short frames against the quietest and the loudest of the last seconds.

No model and no spectrum: a pause is wanted as a good place to cut, and a wrong one costs nothing but a worse place,
because what is heard on both sides is joined by its words. Steady noise is quiet, for it is its own floor.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np

from servers.voxtral.settings import SAMPLE_RATE_HZ

FRAME_S: Final = 0.04
FRAME_SAMPLES: Final = round(FRAME_S * SAMPLE_RATE_HZ)
BLOCK_FRAMES: Final = 12
BLOCKS: Final = 10
"""The floor is that of the last 10 blocks of 0.48 s: in 4.8 s of speech there is a gap between words."""
ABOVE_FLOOR_DB: Final = 6.0
BELOW_PEAK_DB: Final = 32.0
"""Weak consonants are weaker than vowels by less."""
SILENCE_DB: Final = -65.0
LOUD_DB: Final = -60.0
"""Of full scale; less is nobody's speech that has to be transcribed."""
FULL_SCALE: Final = 32768.0


class Pauses:
    """Fed with an utterance's audio in order, in pieces of any size."""

    def __init__(self) -> None:
        self._rest = b""
        self._quiet_frames = self._loud_frames = 0
        self._lows: deque[float] = deque(maxlen=BLOCKS)
        self._highs: deque[float] = deque(maxlen=BLOCKS)
        self._block_frames = BLOCK_FRAMES

    @property
    def quiet_s(self) -> float:
        """How long it has been quiet, up to now."""
        return self._quiet_frames * FRAME_S

    @property
    def loud_s(self) -> float:
        """All time so far that is loud enough to be speech."""
        return self._loud_frames * FRAME_S

    def add(self, pcm: bytes) -> None:
        """PCM16, 16 kHz, mono, whole samples."""
        if self._rest:
            pcm = self._rest + pcm
        count = len(pcm) // (2 * FRAME_SAMPLES)
        self._rest = bytes(pcm[count * 2 * FRAME_SAMPLES :])
        if count:
            for level_db in levels_db(pcm, count):
                self._add(level_db)

    def _add(self, level_db: float) -> None:
        if self._block_frames == BLOCK_FRAMES:
            self._lows.append(level_db)
            self._highs.append(level_db)
            self._block_frames = 0
        self._block_frames += 1
        self._lows[-1] = min(self._lows[-1], level_db)
        self._highs[-1] = max(self._highs[-1], level_db)
        quiet_db = max(min(self._lows) + ABOVE_FLOOR_DB, max(self._highs) - BELOW_PEAK_DB, SILENCE_DB)
        if level_db < quiet_db:
            self._quiet_frames += 1
        else:
            self._quiet_frames = 0
            self._loud_frames += level_db > LOUD_DB


def levels_db(pcm: bytes, frames: int) -> Any:
    """RMS of each frame, float list [frames], in dB of full scale; silence is -100."""
    samples = np.frombuffer(pcm, np.dtype("<i2"), frames * FRAME_SAMPLES).astype(np.float32)
    square = samples.reshape(frames, FRAME_SAMPLES)
    power = np.einsum("ij,ij->i", square, square) / (FRAME_SAMPLES * FULL_SCALE * FULL_SCALE)
    return (10 * np.log10(power + 1e-10)).tolist()
