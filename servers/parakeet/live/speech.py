"""The chunk that is open: where its speech began, how sure the detector was of each window, where it pauses. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from servers.parakeet.interfaces import WINDOW_SAMPLES


@dataclass(slots=True)
class Speech:
    """All positions are numbers of samples since the stream's beginning."""

    begin: int
    """Of the chunk's audio."""
    voiced: int
    """Where speech began, or the cut after which it goes on."""
    judged_from: int
    """Where the first of `levels` begins."""
    goes_on: bool
    """It begins at a cut, not in silence: however short, it is speech."""
    levels: list[float] = field(default_factory=list)
    """The detector's probabilities, one for each window."""
    quiet_from: int | None = None
    """Where the silence began in which the stream is now."""

    def spoken(self, judged: int) -> int:
        """Samples of speech, as far as the windows before sample `judged` tell."""
        return (judged if self.quiet_from is None else self.quiet_from) - self.voiced

    def latest_pause(self, *, earliest: int, low: float) -> int:
        """The middle of the latest windows below `low` that begin behind sample `earliest`.

        Where none is, the middle of the least probable window there, the latest of equals.
        """
        first = max(0, -(-(earliest - self.judged_from) // WINDOW_SAMPLES))
        stop = len(self.levels)
        while stop > first and self.levels[stop - 1] >= low:
            stop -= 1
        start = stop
        while start > first and self.levels[start - 1] < low:
            start -= 1
        if start == stop:
            start = min(range(first, len(self.levels)), key=lambda number: (self.levels[number], -number))
            stop = start + 1
        return self.judged_from + (start + stop) * WINDOW_SAMPLES // 2

    def rest(self, at: int) -> Speech:
        """What is behind sample `at`, where the chunk is cut."""
        judged_from = -(-at // WINDOW_SAMPLES) * WINDOW_SAMPLES
        return Speech(
            begin=at,
            voiced=at,
            judged_from=judged_from,
            goes_on=True,
            levels=self.levels[(judged_from - self.judged_from) // WINDOW_SAMPLES :],
            quiet_from=None if self.quiet_from is None else max(self.quiet_from, at),
        )
