"""Seats for streams: each holds the audio that waits for the model, cut into the frames that the model takes.

Pure: no loop, no lock, no clock; stamps come in with what is stamped, in seconds of the monotonic clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from servers.common.errors import Overloaded
from servers.common.interfaces import Audio, Frame

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[R]):
    """What one step of the model brought one stream, and its way there; stamps in seconds of the monotonic clock."""

    result: R | Exception
    slot: int
    batch_size: int
    received_s: float
    """When the newest of the samples in the step came."""
    queued_s: float
    """When they could be stepped: a whole frame was there, or the stream was flushed or ended."""
    started_s: float
    ended_s: float
    flush: int
    """The flush that this step completes, as `Slot.flush` numbered it; 0 for none."""
    last: bool


@dataclass(slots=True)
class Piece:
    """One frame that waits."""

    samples: Audio
    received_s: float
    queued_s: float
    flush: int = 0
    last: bool = False


class Slot(Generic[R]):
    """One stream's seat. Whoever took it gives it audio, in any portions, and bounds how much waits."""

    def __init__(self, pool: SlotPool[R], number: int, deliver: Callable[[Step[R]], None]) -> None:
        self.number = number
        self.deliver = deliver
        """Called with each step's result, never after the slot was left."""
        self.waiting_samples = 0
        """Taken by no step yet."""
        self.flushed = 0
        """The newest flush that is complete."""
        self._pool = pool
        self._pieces: deque[Piece] = deque()
        self._part: Audio | None = None
        self._part_size = 0
        self._is_first = True
        self._has_cut = False
        self._received_s = 0.0
        self._asked_s = 0.0
        self._flushes = 0
        self._has_new_audio = False
        self._is_over = False
        self.is_stepping = self.is_left = False

    @property
    def has_whole_frame(self) -> bool:
        return bool(self._pieces)

    @property
    def waiting_since_s(self) -> float:
        """Since when its next frame could have been stepped: a backlog does not count from when it came."""
        return max(self._pieces[0].queued_s, self._asked_s)

    def append(self, samples: Audio, *, at_s: float) -> None:
        """Mono float32 of shape (n,), any n. What comes after the end, or a failure, is dropped."""
        if len(samples) and not self._is_over:
            self._received_s, self._has_new_audio = at_s, True
            self._fill(samples, at_s)

    def flush(self, *, at_s: float) -> int:
        """Append the silence that brings out all audio so far, to the end of a frame.

        Returns the number of the flush that brings it out, for `Step.flush` and `flushed`; an earlier one where no
        audio has come since, 0 where none has come at all.
        """
        if self._has_new_audio and not self._is_over:
            self._has_new_audio = False
            self._flushes += 1
            whole = len(self._pieces)
            self._fill(self._pool.flush_silence, at_s)
            if self._part is not None or len(self._pieces) == whole:
                part = self._open_part()
                self._fill(np.zeros(len(part) - self._part_size, np.float32), at_s)
            self._pieces[-1].flush = self._flushes
        return self._flushes

    def end(self, *, at_s: float) -> bool:
        """No more audio comes: what is left becomes a last frame, shorter than others or empty.

        False when nothing is owed, because no audio ever came.
        """
        never_heard = not self._has_cut and self._part is None
        if self._is_over or never_heard:
            self._is_over = True
            return False
        rest = np.zeros(0, np.float32) if self._part is None else self._part[: self._part_size]
        self._push(Piece(rest, self._received_s, at_s, last=True))
        self._is_over = True
        return True

    def stop(self) -> None:
        """Nothing more is stepped for this stream."""
        self._is_over = True
        self._drop()

    def restart(self) -> None:
        """Another stream begins in this seat; audio that waits is forgotten. A step that runs now (`is_stepping`) was
        begun for the earlier one and still brings its result."""
        self._is_first, self._has_cut, self._has_new_audio = True, False, False
        self._drop()

    def leave(self) -> None:
        """Give the seat back; it is free once no step that contains it runs. Again: nothing happens."""
        self._pool.leave(self)

    def take(self, *, at_s: float) -> tuple[Frame, Piece]:
        """The oldest frame, for a step that begins now."""
        piece = self._pieces.popleft()
        frame = Frame(self.number, piece.samples, first=self._is_first, last=piece.last)
        self._is_first = False
        self._asked_s = at_s
        self.waiting_samples -= len(piece.samples)
        return frame, piece

    def _drop(self) -> None:
        self._pieces.clear()
        self._part, self._part_size, self.waiting_samples = None, 0, 0
        self._pool.note_idle(self)

    def _fill(self, samples: Audio, at_s: float) -> None:
        position = 0
        self.waiting_samples += len(samples)
        while position < len(samples):
            part = self._open_part()
            taken = min(len(part) - self._part_size, len(samples) - position)
            part[self._part_size : self._part_size + taken] = samples[position : position + taken]
            self._part_size += taken
            position += taken
            if self._part_size == len(part):
                self._push(Piece(part, self._received_s, at_s))

    def _open_part(self) -> Audio:
        if self._part is None:
            wanted = self._pool.next_samples if self._has_cut else self._pool.first_samples
            self._part, self._part_size = np.empty(wanted, np.float32), 0
        return self._part

    def _push(self, piece: Piece) -> None:
        self._part, self._part_size, self._has_cut = None, 0, True
        self._pieces.append(piece)
        self._pool.note_due(self)


class SlotPool(Generic[R]):
    """Seats 0 .. seats - 1, and which of them have something to step."""

    def __init__(self, seats: int, *, first_samples: int, next_samples: int, flush_samples: int) -> None:
        """The sizes as the model says them: `samples_wanted` of a stream's first and later steps, `flush_samples`."""
        self.seats = seats
        self.first_samples, self.next_samples = first_samples, next_samples
        self.flush_silence: Audio = np.zeros(flush_samples, np.float32)
        self.refused = 0
        self.on_due: Callable[[], None] = lambda: None
        """Called when a slot has come to have something to step."""
        self._free = list(range(seats))
        self._taken: dict[int, Slot[R]] = {}
        self._due: dict[int, Slot[R]] = {}

    @property
    def free(self) -> int:
        """Seats that a stream could take now."""
        return len(self._free)

    @property
    def taken(self) -> list[Slot[R]]:
        """All that have not been left."""
        return [slot for slot in self._taken.values() if not slot.is_left]

    @property
    def due(self) -> int:
        """How many have a frame that no step has taken, and are in none."""
        return len(self._due)

    @property
    def largest_backlog_samples(self) -> int:
        """Of the stream for which most audio waits."""
        return max((slot.waiting_samples for slot in self._taken.values()), default=0)

    def take(self, deliver: Callable[[Step[R]], None]) -> Slot[R]:
        """The lowest free seat, for a new stream; raises Overloaded when there is none."""
        if not self._free:
            self.refused += 1
            raise Overloaded(f"no room: all {self.seats} seats are taken", field="streams", limit=self.seats)
        number = heapq.heappop(self._free)
        slot = self._taken[number] = Slot(self, number, deliver)
        return slot

    def leave(self, slot: Slot[R]) -> None:
        """See Slot.leave."""
        if slot.is_left:
            return
        slot.is_left = True
        slot.stop()
        if not slot.is_stepping:
            self._release(slot)

    def note_due(self, slot: Slot[R]) -> None:
        """A slot says that it has a whole frame."""
        if not slot.is_stepping and slot.number not in self._due:
            self._due[slot.number] = slot
            self.on_due()

    def note_idle(self, slot: Slot[R]) -> None:
        """A slot says that it has nothing any more."""
        if not slot.is_stepping:
            self._due.pop(slot.number, None)

    def is_any_waiting_since(self, at_s: float) -> bool:
        """Whether a slot has a frame that could have been stepped at this time already."""
        return any(slot.waiting_since_s <= at_s for slot in self._due.values())

    def pick(self, limit: int) -> list[Slot[R]]:
        """At most `limit` slots for a step, those that wait longest; each is in it until it is put back.

        By their numbers: a model whose slots lie side by side need not gather them.
        """
        slots = list(self._due.values())
        if len(slots) > limit:
            slots = heapq.nsmallest(limit, slots, key=lambda slot: slot.waiting_since_s)
        slots.sort(key=lambda slot: slot.number)
        for slot in slots:
            del self._due[slot.number]
            slot.is_stepping = True
        return slots

    def put_back(self, slot: Slot[R]) -> None:
        """The step is over."""
        slot.is_stepping = False
        if slot.is_left:
            self._release(slot)
        elif slot.has_whole_frame:
            self._due[slot.number] = slot

    def _release(self, slot: Slot[R]) -> None:
        del self._taken[slot.number]
        heapq.heappush(self._free, slot.number)
