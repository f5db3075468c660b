"""Which utterances of a sweep are called its worst, and how their differences are marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up_sessions
from tests.yapbench import made_up_streams as streams
from yapbench import store, wer
from yapbench.measures import points_of
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import UTTERANCES
from yapbench.streams import worst
from yapbench.streams.differences import marked
from yapbench.streams.times import Stream, times_ms
from yapbench.streams.worst import Worst


def test_differences_are_marked_and_escaped() -> None:
    aligned = wer.align(["say", "<b>", "to", "me"], ["say", "a", "to", "me", "&"])
    assert marked(aligned) == "say <del>&lt;b&gt;</del> <ins>a</ins> to me <ins>&amp;</ins>"


def test_two_wrong_words_for_one() -> None:
    assert marked(wer.align(["coffee"], ["cough", "fee"])) == "<ins>cough</ins> <del>coffee</del> <ins>fee</ins>"


def rewritten(trial: store.TrialData, rows: list[dict[str, Any]], **info: Any) -> store.TrialData:
    """The trial with these utterances in place of its own."""
    store.write_table(trial.folder / store.UTTERANCES_FILE, rows, UTTERANCES)
    store.write_json(trial.folder / store.TRIAL, {**trial.info, **info})
    return store.read_trial(trial.folder)


def made(folder: Path, finals: dict[str, str], **info: Any) -> store.TrialData:
    """One stream for each utterance, all of "hello brave world", with what was heard in the end; 10 ms later each."""
    rows = []
    for number, (name, heard) in enumerate(finals.items()):
        script = [(650, "partial", "hello"), (1100 + 10 * number, "final", heard)]
        start_ns = streams.T0_NS + number * 10_000 * streams.MS
        more: dict[str, Any] = {"index": number, "utterance_id": name.partition("/")[0], "request_id": name}
        rows.append(streams.row(script, t0_ns=start_ns, level=2.0, **more))
    return rewritten(made_up_sessions.trial(folder, levels=(2,), count=4), rows, **info)


def found(*trials: store.TrialData, most: int = 8) -> Worst:
    return worst.find(trials, [point for trial in trials for point in points_of(trial)], most=most)


def names(of: Worst, why: str) -> list[str]:
    return [one.of.utterance_id for one in of.shown if one.why == why]


def test_most_errors_first_each_utterance_once_in_its_worst_showing(tmp_path: Path) -> None:
    heard = {"a": "hello world", "b/1": "hello brave world", "b/2": "goodbye", "b/3": "hello", "c": "hello brave world"}
    of = found(made(tmp_path / "t", heard))
    assert names(of, "words") == ["b", "a"]
    top = of.shown[0]
    assert (top.of.heard, top.of.errors, top.wrong, top.scored) == ("goodbye", 3, 2, 3)
    assert (of.scored, of.wrong, of.utterances, of.utterances_wrong) == (5, 3, 3, 2)


def test_the_latest_finals_come_after_them(tmp_path: Path) -> None:
    of = found(made(tmp_path / "t", {"a": "hello world", "b": "hello brave world", "c": "hello brave world"}))
    assert names(of, "late") == ["c", "b"]
    assert [one.taken_ms for one in of.shown if one.why == "late"] == pytest.approx([270, 260])


def test_a_stream_that_is_wrong_and_late_is_shown_once_and_called_both(tmp_path: Path) -> None:
    of = found(made(tmp_path / "t", {"a": "hello brave world", "b": "hello brave world", "c": "hello world"}))
    assert [(one.why, one.of.utterance_id, one.is_late) for one in of.shown] == [
        ("words", "c", True),
        ("late", "b", True),
        ("late", "a", False),
    ]


@pytest.mark.parametrize("change", [{}, {"pace": 0.0}, {"outcome": "timeout"}, {"speech_end_s": None, "words": None}])
def test_the_time_of_a_final_is_that_of_all_times(change: dict[str, Any]) -> None:
    stream = Stream.of(streams.row() | change)
    for since in ("eos", "eos_due"):
        assert worst.final_ms(stream, since) == times_ms(stream)[since].value


def test_places_are_shared_between_the_kinds(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "t", levels=(1, 8), count=60, wrong=1.0, failing_from=8, failing=0.4)
    of = found(trial, most=8)
    kinds = [one.why for one in of.shown]
    assert (len(kinds), kinds.count("failed"), kinds.count("late") >= 2) == (8, 2, True)
    assert of.failed == sum(sum(point.failures.values()) for point in points_of(trial))


def test_of_each_kind_of_failure_the_one_under_the_lightest_load(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "t", levels=(1, 8), count=60, failing_from=1, failing=0.5)
    failed = [one.of for one in found(trial).shown if one.why == "failed"]
    assert len({one.stream.outcome for one in failed}) == 2
    assert {one.point.level for one in failed} == {1}
    assert all(one.score is None and one.error for one in failed)


def test_a_point_that_is_not_valid_has_no_part(tmp_path: Path) -> None:
    late = made_up_sessions.trial(tmp_path / "t", levels=(1,), count=10, wrong=1.0, lateness_ms=30)
    assert found(late) == Worst((), 0, 0, 0, 0, 0)


def test_words_of_random_weights_are_not_scored(tmp_path: Path) -> None:
    trial = made(tmp_path / "t", {"a": "nothing like it"}, settings={"model": "random"})
    of = found(trial)
    assert (names(of, "words"), of.scored, names(of, "late")) == ([], 0, ["a"])


def test_times_of_two_manners_are_not_ranked_against_each_other(tmp_path: Path) -> None:
    live = made_up_sessions.trial(tmp_path / "a", levels=(1,), count=16, wrong=0)
    silent = StreamOptions(eos="silence")
    other = made_up_sessions.trial(tmp_path / "b", levels=(1,), count=16, wrong=0, options=silent, slow=9)
    late = [one.of.manner.eos for one in found(live, other, most=4).shown]
    assert late == ["commit", "silence", "commit", "silence"]


def test_unpaced_audio_has_no_latest_final(tmp_path: Path) -> None:
    of = found(made_up_sessions.trial(tmp_path / "t", levels=(1,), count=10, wrong=0, options=StreamOptions(pace=0)))
    assert of.shown == ()


def test_a_trial_without_references_has_times_alone(tmp_path: Path) -> None:
    trial = made(tmp_path / "t", {"a": "hello"})
    rows = [json.loads(json.dumps(row | {"reference": None})) for row in [streams.row(level=2.0)]]
    of = found(rewritten(trial, rows))
    assert (names(of, "words"), names(of, "late"), of.scored) == ([], ["hello"], 0)
