"""The rules of a session's utterances, without sockets or clocks: what a client says goes in, effects come out.

Idle (none runs), started (one runs and takes audio), finalizing (it takes no more and owes its `done`). At most one
utterance runs. Each start ends in exactly one of `transcription.done`, `cancelled` and `error`. What comes while one
is finalizing waits for its end; audio that comes while none is started waits for the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from servers.voxtral.faults import WireFault, invalid_message
from servers.voxtral.interfaces import Listener, Utterance
from servers.voxtral.session.held import Held, Waiting
from servers.voxtral.session.outside import Outside, Stamps
from servers.voxtral.session.turn import Turn

BARGE_IN: Final = "barge_in"


class Machine:
    """One session's."""

    def __init__(self, hear: Callable[[Listener], Utterance], outside: Outside, *, held: Held, stamps: Stamps) -> None:
        self._hear, self._outside, self._held, self._stamps = hear, outside, held, stamps
        self._turn: Turn | None = None
        self._gone: str | None = None
        """The newest utterance that was cancelled or failed: what still comes for it is not kept for another one."""
        self._is_ending = False

    @property
    def state(self) -> str:
        return "idle" if self._turn is None else "finalizing" if self._turn.is_finishing else "started"

    @property
    def request_id(self) -> str | None:
        """Of the utterance that runs."""
        return None if self._turn is None else self._turn.request_id

    @property
    def owes(self) -> bool:
        """Whether output is still to come for what was received."""
        turn = self._turn
        return turn is not None and (turn.is_finishing or turn.utterance.owes)

    def start(self, request_id: str | None) -> None:
        """Raises WireFault already_started, cancel_rate_limited or inbound_queue_full."""
        open_ = self._open
        if open_ is not None:
            if _match(open_.request_id, request_id):
                raise invalid_message("already_started", "this utterance has been started", request_id=open_.request_id)
            self._outside.admit_cancel()
            self._cancel(open_, BARGE_IN)
        if self._turn is None:
            self._begin(request_id, self._held.take_loose())
        else:
            self._held.start(request_id)
        if request_id == self._gone:
            self._gone = None

    def append(self, request_id: str | None, pcm: bytes) -> None:
        """Raises WireFault request_id_mismatch or inbound_queue_full."""
        open_ = self._open
        if open_ is None:
            if request_id is None or request_id != self._gone:
                self._hold(pcm)
            return
        self._check_id(open_, request_id)
        if isinstance(open_, Turn):
            open_.utterance.feed(pcm)
            self._stamps.fed(open_)
        else:
            self._hold(pcm)

    def finish(self, request_id: str | None) -> None:
        """Raises WireFault request_id_mismatch, already_finishing or not_started."""
        open_ = self._open
        if open_ is not None:
            self._check_id(open_, request_id)
            self._finish(open_)
        elif self._turn is not None:
            raise invalid_message(
                "already_finishing", "this utterance is complete already", request_id=self._turn.request_id
            )
        else:
            raise invalid_message("not_started", "no utterance has been started", request_id=request_id)

    def cancel(self, request_id: str | None, reason: str) -> None:
        """The newest that the id fits. Where none does, it has ended already. Raises WireFault cancel_rate_limited."""
        self._outside.admit_cancel()
        living = [*([] if self._turn is None else [self._turn]), *self._held]
        fitting = [one for one in living if _match(one.request_id, request_id)]
        if fitting:
            self._cancel(fitting[-1], reason)
            self._go_on()
        else:
            self._outside.tell("cancelled", request_id, {"reason": reason})

    def end(self) -> None:
        """No more comes from the client; what it started is finished, and then all is `concluded`."""
        self._is_ending = True
        if (open_ := self._open) is not None:
            self._finish(open_)
        self._go_on()

    def give_up(self, reason: str) -> None:
        """Whatever is not done yet is cancelled, and all is concluded."""
        self._is_ending = True
        for waiting in list(self._held):
            self._cancel(waiting, reason)
        if self._turn is not None:
            self._cancel(self._turn, reason)
        self._go_on()

    def abandon(self) -> None:
        """The client is gone: nobody is told anything."""
        self._held.clear()
        if self._turn is not None:
            self._stop(self._turn)

    def pass_on(self, turn: Turn, delta: str) -> None:
        self._outside.tell("transcription.delta", turn.request_id, {"delta": delta})
        self._stamps.delta(turn, delta)

    def conclude(self, turn: Turn, text: str, usage: Mapping[str, Any]) -> None:
        self._outside.tell("transcription.done", turn.request_id, {"text": text, "usage": dict(usage)})
        self._stamps.done(turn)
        self._leave(turn)
        self._go_on()

    def fail(self, turn: Turn, fault: WireFault) -> None:
        self._leave(turn)
        self._gone = turn.request_id
        self._outside.tell_fault(turn.request_id, fault)
        if fault.closes is None:
            self._go_on()
        else:
            self._held.clear()

    def notice(self, turn: Turn, kind: str, details: Mapping[str, Any]) -> None:
        self._outside.tell("status", turn.request_id, {"kind": kind, **details})

    @property
    def _open(self) -> Turn | Waiting | None:
        """What takes audio now."""
        if self._turn is not None and not self._turn.is_finishing:
            return self._turn
        return self._held.open

    def _check_id(self, open_: Turn | Waiting, request_id: str | None) -> None:
        if not _match(open_.request_id, request_id):
            raise invalid_message(
                "request_id_mismatch",
                "another utterance is running",
                field="request_id",
                value=request_id,
                limit=open_.request_id,
            )

    def _hold(self, pcm: bytes) -> None:
        if dropped := self._held.append(pcm):
            self._outside.tell_dropped(dropped)

    def _begin(self, request_id: str | None, pcm: bytes) -> Turn:
        self._turn = turn = Turn(self, request_id)
        turn.utterance = self._hear(turn)
        if pcm:
            self._stamps.fed(turn)
            try:
                turn.utterance.feed(pcm)
            except WireFault as fault:
                # No message's fault: there is none here to be answered.
                self._outside.tell_fault(request_id, fault)
        return turn

    def _finish(self, open_: Turn | Waiting) -> None:
        if isinstance(open_, Turn):
            open_.is_finishing = True
            self._stamps.finished(open_)
            open_.utterance.finish()
        else:
            open_.is_finished = True

    def _cancel(self, one: Turn | Waiting, reason: str) -> None:
        self._gone = one.request_id
        if isinstance(one, Turn):
            self._stop(one)
        else:
            self._held.remove(one)
        self._outside.tell("cancelled", one.request_id, {"reason": reason})

    def _stop(self, turn: Turn) -> None:
        self._leave(turn)
        turn.utterance.abort()

    def _leave(self, turn: Turn) -> None:
        turn.is_over = True
        self._turn = None

    def _go_on(self) -> None:
        """With the next that waits, if none runs."""
        if self._turn is not None:
            return
        waiting = self._held.take()
        if waiting is not None:
            turn = self._begin(waiting.request_id, waiting.pcm)
            if waiting.is_finished:
                self._finish(turn)
        elif self._is_ending:
            self._held.clear()
            self._outside.concluded()


def _match(one: str | None, other: str | None) -> bool:
    """A missing id fits any."""
    return one is None or other is None or one == other
