"""A client's audio and the silence that the server put in between, as positions of samples; pure.

Times are told in the client's audio: silence of the server's own takes none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from servers.kyutai.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ


@dataclass(slots=True)
class _Silence:
    start: int
    samples: int


class Timeline:
    """One stream's, from its beginning. Whoever appends samples to the stream says so here."""

    def __init__(self) -> None:
        self._total = self._audio_end = 0
        self._silences: deque[_Silence] = deque()
        self._past = 0

    def add_audio(self, samples: int) -> None:
        """The client's."""
        self._total += samples
        self._audio_end = self._total

    def add_silence(self, samples: int) -> None:
        """The server's own."""
        last = self._silences[-1] if self._silences else None
        if last is not None and last.start + last.samples == self._total:
            last.samples += samples
        else:
            self._silences.append(_Silence(self._total, samples))
        self._total += samples

    @property
    def audio_frames(self) -> int:
        """Frames up to and with the one that holds the client's newest sample."""
        return -(-self._audio_end // FRAME_SAMPLES)

    @property
    def to_boundary(self) -> int:
        """Samples that fill the open frame, or a whole new one where none is open."""
        return FRAME_SAMPLES - self._total % FRAME_SAMPLES

    def missing(self, frames: int) -> int:
        """Samples without which there are not so many frames."""
        return max(0, frames * FRAME_SAMPLES - self._total)

    def has_audio(self, frame: int) -> bool:
        """Whether a sample of the client's lies in this frame, counted from 1."""
        return self._audio(frame * FRAME_SAMPLES) > self._audio((frame - 1) * FRAME_SAMPLES)

    def audio_s(self, frames: int) -> float:
        """Seconds of the client's audio in so many frames."""
        return self._audio(frames * FRAME_SAMPLES) / SAMPLE_RATE_HZ

    def forget(self, frames: int) -> None:
        """Nothing will be asked about what lies before."""
        while self._silences and (first := self._silences[0]).start + first.samples <= frames * FRAME_SAMPLES:
            self._past += first.samples
            self._silences.popleft()

    def _audio(self, position: int) -> int:
        between = sum(min(max(position - one.start, 0), one.samples) for one in self._silences)
        return position - self._past - between
