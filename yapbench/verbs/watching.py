"""Everything that happens on one connection, printed as it happens: both directions, each with its times.

Frames are added up second by second unless everything is wanted. Printing comes after the stamp, so it delays no time
that is shown, but it can make a frame late: a verb that watches is for looking, not for measuring.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from yapbench.clients.line import Sight
from yapbench.pacing.timer import SECOND_NS

LONGEST: Final = 300
"""Characters of a message that are shown unless everything is wanted."""

_ARROWS: Final = {"sent": "->", "received": "<-", "line": "--"}
HEAD: Final = f"{'ms since':>10} {'since':>10}\n{'the dial':>10} {'t0':>10}"


class Watch:
    """An observer. `finish` says what is still unsaid."""

    def __init__(self, *, verbose: bool, say: Callable[[str], None]) -> None:
        self._verbose, self._say = verbose, say
        self._dialled_ns: int | None = None
        self._t0_ns: int | None = None
        self._frames: list[Sight] = []
        self._second = 0

    def __call__(self, sight: Sight) -> None:
        """Take one sight."""
        if sight.kind == "dial":
            self._dialled_ns = sight.at_ns
        if sight.kind == "t0":
            self._t0_ns = sight.at_ns
        if sight.kind == "frame" and not self._verbose:
            second = 0 if self._t0_ns is None else (sight.at_ns - self._t0_ns) // SECOND_NS
            if second != self._second:
                self._tell_frames()
            self._second = second
            self._frames.append(sight)
            return
        if sight.way == "sent":  # what comes after frames is not shown before them
            self._tell_frames()
        words = sight.words if self._verbose or len(sight.words) <= LONGEST else f"{sight.words[:LONGEST]}..."
        size = f", {sight.size_bytes} bytes" if sight.size_bytes and (sight.kind == "frame" or not words) else ""
        self._line(sight, f"{sight.kind}{size}{'  ' if words else ''}{words}")

    def finish(self) -> None:
        """Nothing comes any more."""
        self._tell_frames()

    def _tell_frames(self) -> None:
        if self._frames:
            frames, self._frames = self._frames, []
            size = sum(frame.size_bytes for frame in frames)
            self._line(frames[-1], f"{len(frames)} frame{'' if len(frames) == 1 else 's'}, {size} bytes")

    def _line(self, sight: Sight, words: str) -> None:
        since = [self._since(sight, start) for start in (self._dialled_ns, self._t0_ns)]
        self._say(f"{since[0]:>10} {since[1]:>10}  {_ARROWS[sight.way]} {words}")

    def _since(self, sight: Sight, start_ns: int | None) -> str:
        return "-" if start_ns is None else f"{(sight.at_ns - start_ns) / 1e6:.1f}"
