"""The rules of a session's utterances, each on its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from servers.voxtral.faults import WireFault, engine_failed, engine_unavailable
from tests.servers.voxtral.fake_outside import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


def reason_of(act: Callable[[], None]) -> str:
    """Of the fault that it raises."""
    with pytest.raises(WireFault) as caught:
        act()
    return caught.value.reason_code


def test_one_utterance(stage: Stage) -> None:
    machine = stage.machine
    assert machine.state == "idle"
    machine.start("a")
    machine.append("a", b"11")
    machine.append(None, b"22")
    assert (machine.state, machine.request_id) == ("started", "a")
    stage.now.listener.heard(" hey")
    machine.finish("a")
    assert (machine.state, stage.now.is_finished, stage.now.fed) == ("finalizing", True, b"1122")
    stage.done()
    assert machine.state == "idle"
    assert stage.outside.told == [
        ("transcription.delta", "a", {"delta": " hey"}),
        ("transcription.done", "a", {"text": "text", "usage": {"total_tokens": 1}}),
    ]


def test_barge_in_gives_up_the_old_one_and_begins_the_new(stage: Stage) -> None:
    stage.machine.start("a")
    old = stage.now
    stage.machine.start("b")
    assert old.is_aborted and stage.machine.request_id == "b"
    assert stage.outside.told == [("cancelled", "a", {"reason": "barge_in"})]
    old.listener.heard("late")
    old.listener.finished("late", {})
    old.listener.failed(engine_unavailable())
    old.listener.noticed("late", {})
    assert len(stage.outside.told) == 1


@pytest.mark.parametrize("again", ["a", None])
def test_a_second_start_of_the_same_loses_nothing(stage: Stage, again: str | None) -> None:
    stage.machine.start("a")
    stage.machine.append("a", b"11")
    assert reason_of(lambda: stage.machine.start(again)) == "already_started"
    stage.machine.append("a", b"22")
    assert stage.now.fed == b"1122" and stage.outside.told == []


def test_a_start_while_finalizing_waits_for_done(stage: Stage) -> None:
    machine = stage.machine
    machine.start("a")
    machine.finish("a")
    machine.append("a", b"11")
    machine.start("b")
    machine.append("b", b"22")
    machine.finish("b")
    machine.append(None, b"33")
    assert len(stage.utterances) == 1
    stage.done()
    assert (stage.now.fed, stage.now.is_finished, machine.request_id) == (b"1122", True, "b")
    stage.done()
    machine.start("c")
    assert stage.now.fed == b"33"
    assert stage.outside.take() == [("transcription.done", "a"), ("transcription.done", "b")]


def test_audio_before_a_start_is_its_own(stage: Stage) -> None:
    stage.machine.append(None, b"11")
    stage.machine.append("x", b"22")
    assert reason_of(lambda: stage.machine.finish(None)) == "not_started"
    stage.machine.start("a")
    assert stage.now.fed == b"1122"


def test_another_id_is_told_apart(stage: Stage) -> None:
    stage.machine.start("a")
    assert reason_of(lambda: stage.machine.append("b", b"11")) == "request_id_mismatch"
    assert reason_of(lambda: stage.machine.finish("b")) == "request_id_mismatch"
    assert stage.now.fed == b"" and stage.machine.state == "started"
    stage.machine.finish("a")
    assert reason_of(lambda: stage.machine.finish("a")) == "already_finishing"
    stage.machine.start("b")
    assert reason_of(lambda: stage.machine.append("a", b"11")) == "request_id_mismatch"


def test_a_start_that_waits_can_be_barged_into(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.finish("a")
    stage.machine.start("b")
    stage.machine.append("b", b"11")
    stage.machine.start("c")
    stage.machine.append("c", b"22")
    assert stage.outside.take() == [("cancelled", "b")]
    stage.done()
    assert (stage.machine.request_id, stage.now.fed) == ("c", b"22")


def test_cancel_frees_the_engine(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.append("a", b"11")
    stage.machine.cancel("a", "enough")
    assert stage.now.is_aborted and stage.machine.state == "idle"
    assert stage.outside.told == [("cancelled", "a", {"reason": "enough"})]
    stage.machine.append("a", b"22")  # was under way: nobody else's
    stage.machine.start("b")
    assert stage.now.fed == b""


def test_cancel_of_a_start_that_waits_leaves_the_one_that_runs(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.finish("a")
    stage.machine.start("b")
    stage.machine.append("b", b"11")
    stage.machine.cancel(None, "enough")
    assert stage.outside.take() == [("cancelled", "b")]
    stage.done()
    assert stage.machine.state == "idle" and stage.outside.take() == [("transcription.done", "a")]


def test_cancel_while_finalizing_lets_the_next_begin(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.finish("a")
    stage.machine.start("b")
    stage.machine.cancel("a", "enough")
    assert (stage.outside.take(), stage.machine.request_id) == ([("cancelled", "a")], "b")


def test_cancel_of_nothing_is_answered(stage: Stage) -> None:
    stage.machine.cancel("z", "why not")
    stage.machine.start("a")
    stage.machine.cancel("z", "why not")
    assert stage.outside.take() == [("cancelled", "z")] * 2
    assert stage.machine.state == "started"


def test_cancels_that_are_not_admitted_change_nothing(stage: Stage) -> None:
    stage.outside.cancels_max = 0
    stage.machine.start("a")
    assert reason_of(lambda: stage.machine.cancel("a", "x")) == "cancel_rate_limited"
    assert reason_of(lambda: stage.machine.start("b")) == "cancel_rate_limited"
    assert stage.machine.request_id == "a" and not stage.now.is_aborted and stage.outside.told == []


def test_a_failure_ends_its_utterance_only(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.finish("a")
    stage.machine.start("b")
    stage.utterances[0].listener.failed(engine_failed("engine_stalled", "it stalled"))
    assert stage.outside.take() == [("error", "a")]
    assert (stage.machine.request_id, stage.machine.state) == ("b", "started")


def test_a_full_backlog_refuses_the_message(stage: Stage) -> None:
    stage.machine.start("a")
    stage.now.full = WireFault("server_at_capacity", "inbound_queue_full", "full")
    assert reason_of(lambda: stage.machine.append("a", b"11")) == "inbound_queue_full"
    assert stage.machine.state == "started"


def test_held_audio_that_finds_no_room_is_told(stage: Stage) -> None:
    stage = Stage(max_bytes=4)
    stage.machine.append(None, b"112233")
    assert stage.outside.dropped_bytes == 2
    stage.machine.start("a")
    assert stage.now.fed == b"2233"


def test_what_is_owed(stage: Stage) -> None:
    owed = [stage.machine.owes]
    stage.machine.start("a")
    for owes in (False, True, False):
        stage.now.owes = owes
        owed.append(stage.machine.owes)
    stage.machine.finish("a")
    owed.append(stage.machine.owes)
    assert owed == [False, False, True, False, True]


def test_end_finishes_what_runs_and_what_waits(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.finish("a")
    stage.machine.start("b")
    stage.machine.end()
    assert stage.outside.concluded_times == 0
    stage.done()
    assert stage.now.is_finished
    stage.done()
    assert stage.outside.concluded_times == 1
    assert stage.outside.take() == [("transcription.done", "a"), ("transcription.done", "b")]


def test_end_of_nothing_is_the_end(stage: Stage) -> None:
    stage.machine.append(None, b"11")
    stage.machine.end()
    assert stage.outside.concluded_times == 1 and stage.held.size_bytes == 0


def test_giving_up_cancels_all_that_was_started(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.finish("a")
    stage.machine.start("b")
    stage.machine.end()
    stage.machine.give_up("end")
    assert sorted(stage.outside.take()) == [("cancelled", "a"), ("cancelled", "b")]
    assert stage.now.is_aborted and stage.outside.concluded_times == 1


def test_a_client_that_is_gone_is_told_nothing(stage: Stage) -> None:
    stage.machine.start("a")
    stage.machine.finish("a")
    stage.machine.start("b")
    stage.machine.abandon()
    assert stage.now.is_aborted and stage.outside.told == [] and len(stage.utterances) == 1
