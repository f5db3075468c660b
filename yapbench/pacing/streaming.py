"""One utterance leaves in real time: each frame is handed to the socket when a microphone would have it, not before.

Knows times and bytes; knows no wire and no socket.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from yapbench.errors import UsageError
from yapbench.pacing.timer import Pacer

Eos = Literal["commit", "silence", "file"]
Phasing = Literal["random", "aligned", "ends"]

_CHOICES: Final = {"eos": ("commit", "silence", "file"), "phases": ("random", "aligned", "ends")}


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How utterances are streamed; part of a load, stored with it.

    frame_ms      audio in each frame
    pace          seconds of audio a second: 1 is live; 0 is as fast as the server accepts, which is not real time
    eos           who ends the utterance. commit: we do, with the wire's end message at the due time of the frame
                  that holds the end of speech. silence: the server, which goes on hearing silence until it does. file:
                  nobody; the whole audio is one upload (WHOLE_FILES), and only clients of uploads send that
    phases        where within a frame the streams begin. random: anywhere. aligned: all at the same instants.
                  ends: those of a burst begin so that they all end at the same instant, the worst case for a server
    post_wait_s   longest time from the end of speech to the last result
    dial_ahead_s  Poisson calls and bursts are dialled so long before their audio begins
    retries       how often a call that is refused for lack of capacity is tried again

    Raises UsageError for values that cannot be run.
    """

    frame_ms: float = 80.0
    pace: float = 1.0
    eos: Eos = "commit"
    phases: Phasing = "random"
    post_wait_s: float = 30.0
    dial_ahead_s: float = 0.5
    retries: int = 0

    def __post_init__(self) -> None:
        for name, least in {"frame_ms": 1, "pace": 0, "post_wait_s": 0.001, "dial_ahead_s": 0, "retries": 0}.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not math.isfinite(value) or value < least:
                raise UsageError(f"{name} is {value!r}; it must be a number from {least:g}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError.unknown(name, str(getattr(self, name)), choices)
        if self.eos == "silence" and not self.pace:
            raise UsageError("eos=silence needs a pace above 0: there is no end to silence as fast as it is accepted")
        if self.eos == "file" and self.pace:
            raise UsageError(f"eos=file is for uploads, which have no pace; pace is {self.pace:g}")

    @property
    def step_ns(self) -> int:
        """Time from frame to frame, rounded up; 1 where frames go as fast as they are accepted."""
        return math.ceil(self.frame_ms * 1e6 / self.pace) if self.pace else 1

    def due_ns(self, t0_ns: int, number: int) -> int:
        """When frame `number` may leave: its last sample has just been spoken. At pace 0: from `t0_ns` on."""
        return t0_ns + math.ceil((number + 1) * self.frame_ms * 1e6 / self.pace) if self.pace else t0_ns

    def not_before(self, t0_ns: int, ready_ns: int) -> int:
        """The first t0 that is not before `ready_ns` and lies whole frames after `t0_ns`: the phase is kept."""
        return t0_ns + max(0, -(-(ready_ns - t0_ns) // self.step_ns)) * self.step_ns


WHOLE_FILES: Final = StreamOptions(eos="file", pace=0.0, dial_ahead_s=0.0)
"""How an upload is sent: at once, and when it is due."""


@dataclass(frozen=True)
class Speech:
    """One utterance as a wire carries it, encoded before the clock starts.

    `last` is the frame that holds the end of speech; with eos=commit nothing follows it.
    """

    frames: tuple[bytes, ...]
    silence: bytes
    last: int
    binary: bool
    """Whether a frame is a binary message or a text."""


class Delivery:
    """The paced sending of one utterance. Callbacks of the pacer: no task and no object for a frame.

    `write` gives a frame to the transport; `finish`, where the utterance is ended by a message, that one. A transport
    that cannot pass everything on to the kernel calls `pause` (from within `write`, too) and, when it could, `resume`:
    a frame counts as handed over when the kernel has it. Frames that became due meanwhile follow at once and are late.
    """

    def __init__(
        self,
        pacer: Pacer,
        speech: Speech,
        options: StreamOptions,
        *,
        t0_ns: int,
        write: Callable[[bytes], object],
        finish: Callable[[], object] | None,
    ) -> None:
        self.t0_ns, self.moved_ns = t0_ns, t0_ns
        self.sent_ns: int | None = None
        """When the first frame was about to be handed over."""
        self.sent_end_ns: int | None = None
        """When the end of speech, and the message that says so, were handed over."""
        self.ended = False
        """All speech has been given to the transport."""
        self.handed_over = 0
        self._pacer, self._frames, self._silence, self._last = pacer, speech.frames, speech.silence, speech.last
        self._write, self._finish, self._options = write, finish, options
        self._step_ns = options.frame_ms * 1e6 / options.pace if options.pace else 0.0
        self._due_ns = options.due_ns(t0_ns, 0)
        self._late_ns = array("q", bytes(8 * len(speech.frames)))
        self._blocked = self._in_buffer = self._scheduled = self._over = False

    @property
    def owed_ns(self) -> int | None:
        """From when on the result is owed: when the end of speech was due. At pace 0: when it was handed over."""
        return self._options.due_ns(self.t0_ns, self._last) if self._step_ns else self.sent_end_ns

    def start(self) -> None:
        """Begin; returns at once."""
        self._schedule(self._due_ns)

    def stop(self) -> None:
        """Send nothing more."""
        self._over = True

    def lateness_ns(self) -> tuple[int, ...]:
        """Of each frame handed over so far: handed over minus due, never negative. Empty at pace 0."""
        return tuple(self._late_ns[: self.handed_over]) if self._step_ns else ()

    def pause(self) -> None:
        """The transport has bytes that the kernel would not take."""
        self._blocked = True

    def resume(self) -> None:
        """The kernel has everything that was written."""
        self._blocked = False
        if self._over:
            return
        if self._in_buffer:
            self._in_buffer = False
            self._schedule(self._stamp())
        elif self.ended and self._finish is not None:
            self.sent_end_ns = self.sent_end_ns or time.monotonic_ns()
        elif not self._scheduled:
            self._schedule(self._due_ns)

    def _schedule(self, due_ns: int | None) -> None:
        self._scheduled = due_ns is not None
        if due_ns is not None:
            self._pacer.at(due_ns, self._send)

    def _send(self, now_ns: int) -> int | None:
        if self._over or self._blocked:
            self._scheduled = False
            return None
        number = self.handed_over
        if not number:
            self.sent_ns = time.monotonic_ns()
        if not self._hand_over(self._frames[number] if number < len(self._frames) else self._silence):
            self._in_buffer, self._scheduled = True, False  # stamped by `resume`
            return None
        due_ns = self._stamp()
        self._scheduled = due_ns is not None
        return due_ns

    def _hand_over(self, frame: bytes) -> bool:
        """Whether the kernel took all of it."""
        self._write(frame)
        return not self._blocked

    def _stamp(self) -> int | None:
        """The next frame was handed over; returns when the one after it is due, None: there is none."""
        now_ns = time.monotonic_ns()
        number = self.handed_over
        if self._step_ns:
            late_ns = now_ns - self._due_ns
            if number < len(self._late_ns):
                self._late_ns[number] = late_ns
            else:
                self._late_ns.append(late_ns)
            self._due_ns = self.t0_ns + math.ceil((number + 2) * self._step_ns)
        else:
            self._due_ns = now_ns + 1  # after the loop has had a look at its sockets
        self.moved_ns, self.handed_over = now_ns, number + 1
        if number == self._last:
            return self._end(now_ns)
        return self._due_ns

    def _end(self, now_ns: int) -> int | None:
        self.ended = True
        if self._finish is None:
            self.sent_end_ns = now_ns
            return self._due_ns
        self._finish()
        if not self._blocked:
            self.sent_end_ns = time.monotonic_ns()
        return None
