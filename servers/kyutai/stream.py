"""One stream: audio in, events out, whatever the encoding and whether it comes over a WebSocket or as a file."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from servers.common.errors import InferenceFailed
from servers.common.interfaces import Audio
from servers.common.patience import Patience
from servers.common.slots import Slot
from servers.common.slots import Step as SlotStep
from servers.kyutai.events import Event, Failed, Final, Marker, Ready, Step, Word
from servers.kyutai.interfaces import Heard
from servers.kyutai.room import Room
from servers.kyutai.timeline import Timeline
from servers.kyutai.words import Words


class Stream:
    """Has a seat from its making to its end: a Final or a Failed among its events, or `leave`. Lives on one loop.

    Audio and markers are counted in this stream's own samples. Silence of the server's own (behind a marker that no
    audio follows, and behind a flush) brings words but no Step, and no time that is told counts it.
    """

    def __init__(
        self,
        room: Room,
        tell: Callable[[Event], None],
        *,
        marker_patience_s: float = 0.0,
        on_step: Callable[[SlotStep[Heard]], None] = lambda step: None,
    ) -> None:
        """Takes the seat and tells Ready; raises Overloaded, Draining or NotReady. `on_step` is told of every step."""
        self._room, self._tell, self._on_step = room, tell, on_step
        self._patience = Patience(marker_patience_s, self._lose_patience)
        self._has_room = asyncio.Event()
        self._is_stale = self._is_ending = self._is_overdue = False
        self._steps = self._heard_frames = self._end_due = 0
        self._slot: Slot[Heard] = room.take_seat(self._take_step)
        self._begin()

    @property
    def is_full(self) -> bool:
        """As much waits as may: whoever sends is not to be read meanwhile."""
        return self._slot.waiting_samples > self._room.buffer_samples

    @property
    def is_behind(self) -> bool:
        """A whole frame waits, or is being stepped."""
        return self._slot.has_whole_frame or self._slot.is_stepping

    async def wait_for_room(self) -> None:
        """Until it is not full, or over."""
        while self.is_full:
            self._has_room.clear()
            await self._has_room.wait()

    def push(self, samples: Audio, *, at_s: float) -> None:
        """Mono float32 at 24 kHz of shape (n,), any n. What comes after the end is dropped."""
        if self._is_ending or not len(samples):
            return
        self._timeline.add_audio(len(samples))
        self._slot.append(samples, at_s=at_s)
        self._is_overdue = False
        if self._marks:
            self._patience.touch()

    def mark(self, id: int) -> None:
        """Tells Marker as soon as all audio from before is transcribed."""
        if self._is_ending:
            return
        self._marks.append((id, self._all_told_at()))
        self._is_overdue = False
        self._tell_marks()
        if self._marks:
            self._patience.touch()

    def flush(self, *, at_s: float) -> None:
        """No more audio comes: tells all that is owed, then Final."""
        if self._is_ending:
            return
        self._is_ending = True
        self._patience.stop()
        self._end_due = self._all_told_at()
        self._append_silence(self._timeline.missing(self._end_due), at_s)
        if self._steps >= self._end_due:
            self._finish()
        else:
            self._room.stepper.hurry()

    def restart(self) -> None:
        """Forget everything, as if the client had come anew: tells Ready."""
        if not self._is_ending:
            self._is_stale = self._slot.is_stepping
            self._slot.restart()
            self._patience.stop()
            self._begin()
            self._has_room.set()

    def leave(self) -> None:
        """The seat is given back, nothing more is told. Again: nothing happens."""
        self._is_ending = True
        self._patience.stop()
        self._room.leave(self._slot)
        self._has_room.set()

    def _all_told_at(self) -> int:
        """After so many steps all tokens of the client's audio so far are there."""
        frames = self._timeline.audio_frames
        return frames + self._room.listener.delay_steps if frames else 0

    def _begin(self) -> None:
        ears = self._room.listener
        self._timeline = timeline = Timeline()
        self._words = Words(
            delay_steps=ears.delay_steps,
            padding=ears.padding_token,
            boundary=ears.boundary_token,
            text_of=ears.text_of,
            time_of=timeline.audio_s,
        )
        self._text: list[str] = []
        self._marks: deque[tuple[int, int]] = deque()  # each with the step after which it is due
        self._steps = self._heard_frames = self._end_due = 0
        self._is_ending = self._is_overdue = False
        self._tell(Ready())

    def _take_step(self, step: SlotStep[Heard]) -> None:
        """Called by the stepper, on the event loop."""
        if isinstance(step.result, Exception):
            fault = InferenceFailed("the model failed on this stream")
            fault.__cause__ = step.result
            self.leave()
            self._tell(Failed(fault))
            return
        self._on_step(step)
        self._room.note_lag(self._slot, step)
        if self._is_stale:
            self._is_stale = False
            return
        self._steps += 1
        self._hear(step.result)
        self._tell_marks()
        if self._is_ending and self._steps >= self._end_due:
            self._finish()
        self._fill_with_silence(step.ended_s)
        self._has_room.set()

    def _hear(self, heard: Heard) -> None:
        if self._timeline.has_audio(self._steps):
            self._heard_frames += 1
            self._tell(Step(self._heard_frames, heard.pauses, self._slot.waiting_samples))
        self._tell_words(heard.token)
        self._timeline.forget(self._steps - self._room.listener.delay_steps)

    def _tell_words(self, token: int | None) -> None:
        """`None`: all that is owed at the end."""
        for event in self._words.finish() if token is None else self._words.add(token):
            if isinstance(event, Word):
                self._text.append(event.text)
            self._tell(event)

    def _tell_marks(self) -> None:
        """A word whose last token is there is told one step later, and the marker behind it waits for that."""
        while self._marks and (late := self._steps - self._marks[0][1]) >= 0:
            if late == 0 and self._words.is_pending:
                return
            self._tell(Marker(self._marks.popleft()[0]))
        if not self._marks:
            self._patience.stop()

    def _lose_patience(self) -> None:
        self._is_overdue = True
        self._fill_with_silence(time.monotonic())

    def _fill_with_silence(self, at_s: float) -> None:
        """Frame by frame, so that no more goes in than the markers need, and none as soon as the client goes on."""
        if self._is_overdue and self._marks and not self._is_ending and not self.is_behind:
            self._append_silence(self._timeline.to_boundary, at_s)

    def _append_silence(self, samples: int, at_s: float) -> None:
        self._timeline.add_silence(samples)
        self._slot.append(np.zeros(samples, np.float32), at_s=at_s)

    def _finish(self) -> None:
        self._tell_words(None)
        while self._marks:
            self._tell(Marker(self._marks.popleft()[0]))
        self.leave()
        self._tell(Final(" ".join(text for text in self._text if text)))
