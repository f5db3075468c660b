"""Whatever a client and an engine do, in whatever order: no start without its end, no audio lost in silence."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from servers.voxtral.faults import WireFault, engine_failed
from tests.servers.voxtral.fake_outside import SilentUtterance, Stage

ids = st.sampled_from(["a", "b", "c", None])
ENDS = ("transcription.done", "cancelled", "error")


class Sequences(RuleBasedStateMachine):
    """Each append is a number of its own, so that what was lost, doubled or swapped shows."""

    @initialize(max_messages=st.integers(2, 6), max_numbers=st.integers(1, 5))
    def begin(self, max_messages: int, max_numbers: int) -> None:
        self.stage = Stage(max_messages=max_messages, max_bytes=2 * max_numbers)
        self.accepted = self.started = self.lost_bytes = self.answers = self.clock = 0
        self.gone: str | None = None

    def act(self, deed: Callable[[], None]) -> bool:
        """Whether it was not refused. Audio may vanish here only with an utterance that is told to be cancelled."""
        told, held = len(self.stage.outside.told), self.stage.held.size_bytes
        try:
            deed()
        except WireFault:
            assert self.stage.held.size_bytes == held
            return False
        news = self.stage.outside.told[told:]
        self.gone = next((one[1] for one in reversed(news) if one[0] in ("cancelled", "error")), self.gone)
        missing = self.accepted - self.bytes_somewhere
        assert 0 <= missing <= (held if any(kind == "cancelled" for kind, *_ in news) else 0)
        self.lost_bytes += missing
        return True

    @property
    def bytes_somewhere(self) -> int:
        fed = sum(len(one.fed) for one in self.stage.utterances)
        return fed + self.stage.held.size_bytes + self.stage.outside.dropped_bytes + self.lost_bytes

    @property
    def living(self) -> list[SilentUtterance]:
        return [one for one in self.stage.utterances if not (one.is_aborted or one.has_ended)]

    @rule(request_id=ids)
    def start(self, request_id: str | None) -> None:
        self.started += self.act(lambda: self.stage.machine.start(request_id))
        if request_id == self.gone and self.stage.machine.state != "idle":
            self.gone = None

    @rule(request_id=ids)
    def append(self, request_id: str | None) -> None:
        self.clock += 1
        pcm, before = self.clock.to_bytes(2, "big"), self.bytes_somewhere
        self.accepted += 2
        try:
            self.stage.machine.append(request_id, pcm)
        except WireFault:
            self.accepted -= 2
        else:
            if self.bytes_somewhere == before:  # of an utterance that is gone
                assert request_id is not None
                assert ("cancelled", request_id) in self.ended or ("error", request_id) in self.ended
                self.accepted -= 2

    @rule(request_id=ids)
    def finish(self, request_id: str | None) -> None:
        self.act(lambda: self.stage.machine.finish(request_id))

    @rule(request_id=ids)
    def cancel(self, request_id: str | None) -> None:
        before = len(self.ended), self.waiting
        self.act(lambda: self.stage.machine.cancel(request_id, "test"))
        self.answers += self.waiting == before[1]  # there was nothing to cancel
        assert len(self.ended) == before[0] + 1

    @precondition(lambda self: any(one.is_finished for one in self.living))
    @rule()
    def conclude(self) -> None:
        (running,) = self.living
        running.has_ended = True
        self.act(lambda: running.listener.finished("", {}))

    @precondition(lambda self: self.living)
    @rule()
    def fail(self) -> None:
        (running,) = self.living
        running.has_ended = True
        self.act(lambda: running.listener.failed(engine_failed("engine_error", "it failed")))

    @property
    def ended(self) -> list[tuple[str, str | None]]:
        return [(kind, request_id) for kind, request_id, _ in self.stage.outside.told if kind in ENDS]

    @property
    def waiting(self) -> int:
        """Starts without an end."""
        return len(self.living) + len(list(self.stage.held))

    @invariant()
    def at_most_one_runs(self) -> None:
        assert len(self.living) <= 1
        assert (self.stage.machine.state == "idle") == (not self.living)

    @invariant()
    def each_start_has_one_end(self) -> None:
        assert self.started == len(self.ended) - self.answers + self.waiting

    @invariant()
    def audio_is_somewhere_and_in_order(self) -> None:
        assert self.accepted == self.bytes_somewhere
        fed = b"".join(one.fed for one in self.stage.utterances)
        numbers = [int.from_bytes(fed[at : at + 2], "big") for at in range(0, len(fed), 2)]
        assert numbers == sorted(set(numbers))

    @invariant()
    def nothing_waits_for_nobody(self) -> None:
        assert self.living or not list(self.stage.held)

    def teardown(self) -> None:
        self.stage.machine.give_up("end")
        assert self.stage.machine.state == "idle" and not self.waiting
        assert self.started == len(self.ended) - self.answers
        assert self.stage.outside.concluded_times == 1


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
