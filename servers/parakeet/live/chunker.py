"""Cuts a stream of speech into chunks, at its pauses, from the probabilities of a voice activity detector. Pure.

Speech begins where a window reaches the threshold and goes on until one is below the threshold less MARGIN (the rule
and the numbers are Silero's own, silero_vad/utils_vad.py, get_speech_timestamps); it ends there if no window reaches
the threshold within the silence allowed. The windows lie on the stream, not on what a client sends at once: the same
samples give the same chunks, however they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.interfaces import Audio
from servers.parakeet.interfaces import WINDOW_SAMPLES, Probabilities
from servers.parakeet.live.speech import Speech
from servers.parakeet.live.tape import Tape
from servers.parakeet.settings import Settings

MARGIN: Final = 0.15
LOWEST: Final = 0.01
"""Silero's own floor of the threshold at which speech ends."""
GATHERED: Final = 4
"""Windows, 128 ms: the runtime takes hardly longer for four than for one."""


class ClosedBy(StrEnum):
    """Why a chunk ends where it does."""

    SILENCE = "silence"
    LENGTH = "length"
    """It was as long as a chunk may be; what follows in the stream is the next one's."""
    FLUSH = "flush"
    END = "end"
    """The server ended the session."""
    OPEN = "open"
    """It does not end yet."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A piece of speech with its padding; `begin` and `end` are numbers of samples since the stream's beginning."""

    audio: Audio
    begin: int
    end: int
    closed_by: ClosedBy

    @property
    def begin_s(self) -> float:
        return self.begin / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        return self.end / SAMPLE_RATE_HZ


class Chunker:
    """One stream's. `append` what comes, have `windows` judged, give the probabilities to `hear`."""

    def __init__(self, settings: Settings) -> None:
        self._threshold = settings.vad_threshold
        self._low = max(settings.vad_threshold - MARGIN, LOWEST)
        self._silence = max(1, _samples(settings.silence_ms) // WINDOW_SAMPLES) * WINDOW_SAMPLES
        self._shortest = _samples(settings.min_speech_ms)
        self._longest = _samples(settings.longest_speech_ms)
        self._pad = min(_samples(settings.pad_ms), self._longest // 4)
        self._tape = Tape()
        self._judged = 0
        self._given = 0
        """No later chunk begins before: what is behind a chunk's speech and before the next one's is in one of them."""
        self._speech: Speech | None = None

    @property
    def is_open(self) -> bool:
        """There is speech, as far as it was judged, that is in no chunk yet."""
        return self._speech is not None

    @property
    def received(self) -> int:
        """Samples appended since the beginning."""
        return self._tape.end

    @property
    def kept_from(self) -> int:
        """No later chunk begins, or ends, before this sample."""
        return self._tape.begin

    @property
    def unjudged(self) -> int:
        """Samples appended and not heard."""
        return self._tape.end - self._judged

    @property
    def open_samples(self) -> int:
        """Length of the open chunk so far."""
        return 0 if self._speech is None else self._judged - self._speech.begin

    @property
    def wants(self) -> int:
        """Windows worth waiting for before any is judged: as many as are judged in one go at most (GATHERED), but no
        more than the first that could close a chunk. So the detector is asked rarely and no chunk is closed late."""
        speech = self._speech
        if speech is None:
            return GATHERED
        quiet = 0 if speech.quiet_from is None else self._judged - speech.quiet_from
        room = self._longest - (self._judged - speech.begin)
        return max(1, min(GATHERED, (self._silence - quiet) // WINDOW_SAMPLES, room // WINDOW_SAMPLES))

    @property
    def is_due(self) -> bool:
        """As many windows wait as are worth judging."""
        return self.unjudged >= self.wants * WINDOW_SAMPLES

    def append(self, samples: Audio) -> None:
        """16 kHz, shape (n,), any n; copied."""
        self._tape.append(samples)

    def windows(self, limit: int, *, until: int | None = None) -> Audio:
        """The next whole windows that `hear` wants judged, at most `limit`, none that ends behind sample `until`.

        Shape (n * WINDOW_SAMPLES,), n >= 0; the same until they are heard.
        """
        end = self.received if until is None else until
        count = min(limit, (end - self._judged) // WINDOW_SAMPLES)
        return self._tape.copy(self._judged, self._judged + count * WINDOW_SAMPLES)

    def hear(self, probabilities: Probabilities) -> list[Chunk]:
        """Takes what was judged of the last `windows`; the chunks that this closed, oldest first."""
        closed = [chunk for level in probabilities.tolist() for chunk in self._hear_window(level)]
        self._forget()
        return closed

    def close(self, *, at: int, closed_by: ClosedBy) -> Chunk | None:
        """Ends the open chunk at sample `at`, before which all whole windows must have been heard.

        None where nothing was said; speech shorter than is asked of a chunk stays open.
        """
        speech = self._speech
        if speech is None or speech.spoken(self._judged) < self._shortest_of(speech):
            return None
        end = at if speech.quiet_from is None else min(speech.quiet_from + self._pad, at)
        chunk = self._cut(speech, end, closed_by)
        self._speech = None
        self._forget()
        return chunk

    def so_far(self) -> Chunk | None:
        """The open chunk as it is now."""
        speech = self._speech
        if speech is None or speech.spoken(self._judged) < self._shortest_of(speech):
            return None
        return Chunk(self._tape.copy(speech.begin, self._judged), speech.begin, self._judged, ClosedBy.OPEN)

    def _hear_window(self, level: float) -> list[Chunk]:
        begin = self._judged
        self._judged += WINDOW_SAMPLES
        if self._speech is None:
            if level < self._threshold:
                return []
            padded = max(begin - self._pad, self._given, self._tape.begin)
            self._speech = Speech(begin=padded, voiced=begin, judged_from=begin, goes_on=False)
        speech = self._speech
        speech.levels.append(level)
        if level >= self._threshold:
            speech.quiet_from = None
        elif level < self._low and speech.quiet_from is None:
            speech.quiet_from = begin
        if speech.quiet_from is not None and self._judged - speech.quiet_from >= self._silence:
            self._speech = None
            if speech.spoken(self._judged) < self._shortest_of(speech):
                return []
            return [self._cut(speech, min(speech.quiet_from + self._pad, self._judged), ClosedBy.SILENCE)]
        if self._judged - speech.begin + WINDOW_SAMPLES > self._longest:
            return [self._divide(speech)]
        return []

    def _shortest_of(self, speech: Speech) -> int:
        return 1 if speech.goes_on else self._shortest

    def _divide(self, speech: Speech) -> Chunk:
        """A chunk as long as may be ends in its latest pause; what follows is the beginning of the next one."""
        at = speech.latest_pause(earliest=speech.begin + 2 * self._longest // 3, low=self._low)
        self._speech = speech.rest(at)
        return self._cut(speech, at, ClosedBy.LENGTH)

    def _cut(self, speech: Speech, end: int, closed_by: ClosedBy) -> Chunk:
        self._given = end
        return Chunk(self._tape.copy(speech.begin, end), speech.begin, end, closed_by)

    def _forget(self) -> None:
        self._tape.drop(self._judged - self._pad if self._speech is None else self._speech.begin)


def _samples(duration_ms: float) -> int:
    return int(duration_ms * SAMPLE_RATE_HZ / 1000)
