"""Raw rows to points: hand-made rows with known answers, every outcome in the denominators, verdicts, bytes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.yapbench import made_up
from yapbench import axes, measures, store, turns, validity
from yapbench.measures import Point
from yapbench.monitoring import counters
from yapbench.schema import PROBE_NS
from yapbench.validity import Verdict


def with_rows(trial: store.TrialData, change: pd.DataFrame) -> store.TrialData:
    return dataclasses.replace(trial, utterances=change)


def with_machine(trial: store.TrialData, rows: list[dict[str, Any]]) -> store.TrialData:
    frame = pd.DataFrame(rows, columns=["schema_version", "at_ns", "source", "metric", "value"])
    return dataclasses.replace(trial, machine=frame)


def even(trial: store.TrialData, *, every_ms: int, took_ms: int) -> store.TrialData:
    """The same rows as an open loop with one request every `every_ms`, each answered after `took_ms`."""
    rows = trial.utterances.copy()
    rows["intended_ns"] = [made_up.START_NS + k * every_ms * made_up.MS for k in range(len(rows))]
    rows["sent_ns"] = rows["intended_ns"] + 2 * made_up.MS
    rows["ended_ns"] = rows["intended_ns"] + took_ms * made_up.MS
    return with_rows(trial, rows)


def only(trial: store.TrialData) -> Point:
    (point,) = measures.points(trial, replicates=200)
    return point


def test_latency_counts_from_the_intended_time_and_from_sent(tmp_path: Path) -> None:
    point = only(even(made_up.trial(tmp_path / "t", levels=[1]), every_ms=50, took_ms=40))
    assert point["latency_p50_ms"].value == point["latency_mean_ms"].value == 40
    assert point["sent_p95_ms"].value == 38


def test_throughput_is_that_of_an_even_stream(tmp_path: Path) -> None:
    rps = only(even(made_up.trial(tmp_path / "t", levels=[1]), every_ms=50, took_ms=40))["rps"]
    assert rps.value == pytest.approx(20, rel=0.01)
    assert (rps.low or 0) < 20 < (rps.high or 0)


def test_throughput_leaves_the_warmup_out_and_counts_what_kept_the_load_up(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", levels=[4], requests=130)
    point, steady = only(trial), trial.utterances[trial.utterances["phase"] == "steady"]
    warm_end = trial.utterances[trial.utterances["phase"] == "warmup"]["ended_ns"].max()
    asked = trial.utterances[trial.utterances["phase"] != "warmup"]
    inside = asked[(asked["ended_ns"] > warm_end) & (asked["ended_ns"] <= steady["ended_ns"].max())]
    seconds = (steady["ended_ns"].max() - max(warm_end, steady["intended_ns"].min())) / 1e9
    assert point["rps"].value == pytest.approx(len(inside) / seconds, rel=1e-6)
    assert point.n == 130


def test_goodput_is_what_came_within_the_target(tmp_path: Path) -> None:
    trial = even(made_up.trial(tmp_path / "t", levels=[1], requests=100), every_ms=50, took_ms=40)
    late = trial.utterances.copy()
    late.loc[late.index[10:60], "ended_ns"] += 200 * made_up.MS
    point = only(with_rows(trial, late))
    assert point["goodput_share"].value == pytest.approx(0.5)
    assert (point["goodput_rps"].value or 0) < (point["rps"].value or 0)


def test_failures_stay_in_n_and_in_every_share(tmp_path: Path) -> None:
    point = only(made_up.trial(tmp_path / "t", levels=[4], outcomes={"timeout": 0.2, "rejected_at_capacity": 0.1}))
    failed = sum(point.failures.values())
    assert set(point.failures) == {"timeout", "rejected_at_capacity"}
    assert point.n == 130
    assert point["ok_share"].value == pytest.approx(1 - failed / 130)
    assert point["latency_p50_ms"].n == 130 - failed


def test_when_everything_fails_no_latency_is_invented(tmp_path: Path) -> None:
    point = only(made_up.trial(tmp_path / "t", levels=[4], outcomes={"refused": 1.0}))
    assert point["latency_p50_ms"].value is None
    assert (point["rps"].value, point["rps"].known) == (0.0, False)
    assert (point["ok_share"].value, point["goodput_share"].value) == (0.0, 0.0)
    assert point["cpu_ms_per_request"].reason == "no request was answered"


def test_every_measure_is_there_or_has_a_reason(tmp_path: Path) -> None:
    point = only(made_up.trial(tmp_path / "t", levels=[1], cpu_rows=False))
    assert list(point.values) == list(measures.MEASURES)
    assert all(value.value is not None or value.reason for value in point.values.values())
    assert point["vram_peak_mib"].reason == "no GPU was used"


def test_the_servers_own_times_and_batch_sizes_are_read_from_its_answers(tmp_path: Path) -> None:
    point = only(made_up.trial(tmp_path / "t", levels=[8], settings={"batch_buckets": "1,2,4"}))
    latency = sum(point[name].value or 0 for name in ("queue_ms", "inference_ms", "rest_ms"))
    assert latency == pytest.approx(point["latency_mean_ms"].value)
    assert sum(point.batch_sizes.values()) == 130
    assert max(point.batch_sizes) == 4


def test_answers_without_metrics_have_no_queue_time(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", levels=[1])
    bare = trial.utterances.copy()
    event = {"at_ns": 1, "kind": "answer", "text": None, "data": "not json"}
    bare["events"] = pd.Series([[event]] * len(bare), index=bare.index)
    point = only(with_rows(trial, bare))
    assert point["queue_ms"].reason == "the server's answers do not say"
    assert point["latency_p50_ms"].value is not None


def test_cpu_time_is_the_trees_gain_over_answered_requests(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", levels=[1], service_ms=20)
    point = only(trial)
    assert point["cpu_ms_per_request"].value == pytest.approx(20, rel=0.1)
    assert point["rss_peak_mib"].value == pytest.approx(306e6 / measures.MIB, rel=0.01)


def test_points_by_repeat_add_up(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", levels=[1, 4], repeats=3, requests=20)
    whole, parts = measures.points(trial, replicates=20), measures.points_by_repeat(trial, replicates=20)
    assert [(p.level, p.repeat) for p in parts] == [(lv, r) for lv in (1, 4) for r in range(3)]
    assert [p.n for p in whole] == [60, 60]
    assert all(p.repeats == 3 for p in whole)


def test_a_summary_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", requests=20)
    once, again = (json.dumps(measures.summary(trial), allow_nan=False) for _ in range(2))
    assert once == again


def test_a_failed_trial_has_a_summary_without_points(tmp_path: Path) -> None:
    assert measures.summary(made_up.failed(tmp_path / "t"))["points"] == []


def test_the_table_has_a_row_for_each_point(tmp_path: Path) -> None:
    frame = measures.table(measures.points(made_up.trial(tmp_path / "t", requests=20), replicates=20))
    assert list(frame["level"]) == [1, 4, 8]
    assert {"sessions", "latency_p50_ms_low", "verdict"} <= set(frame)


@pytest.mark.parametrize(
    ("changed", "verdict", "word"),
    [
        ({}, Verdict.VALID, None),
        ({"lateness_ms": 20.0}, Verdict.INVALID, "client late"),
        ({"loop_lag_ms": 8.0}, Verdict.INVALID, "held up"),
        ({"others_cpu": 0.3}, Verdict.DISTURBED, "others used"),
        ({"lateness_ms": 20.0, "others_cpu": 0.3}, Verdict.INVALID, "others used"),
    ],
)
def test_verdicts(tmp_path: Path, changed: dict[str, Any], verdict: Verdict, word: str | None) -> None:
    found = only(made_up.trial(tmp_path / "t", levels=[4], **changed)).validity
    assert found.verdict is verdict
    assert word is None or any(word in reason for reason in found.reasons)


def test_a_server_that_fills_the_machine_does_not_disturb_itself(tmp_path: Path) -> None:
    point = only(made_up.trial(tmp_path / "t", levels=[8], settings={"sessions": 2}))
    assert (point["cpu_percent"].value or 0) > 150
    assert point.validity.verdict is Verdict.VALID


def test_stolen_time_disturbs(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", levels=[1])
    stolen = trial.machine.copy()
    steal = stolen["metric"] == "steal_s"
    stolen.loc[steal, "value"] = (stolen.loc[steal, "at_ns"] - made_up.START_NS) / 1e9
    found = only(dataclasses.replace(trial, machine=stolen)).validity
    assert found.steal_percent == pytest.approx(50, abs=1)
    assert found.verdict is Verdict.DISTURBED


@pytest.mark.parametrize(("seen_by_the_bare_loop", "verdict"), [(True, Verdict.DISTURBED), (False, Verdict.INVALID)])
def test_a_standstill_of_the_whole_machine_is_not_the_clients(
    tmp_path: Path, seen_by_the_bare_loop: bool, verdict: Verdict
) -> None:
    trial = made_up.trial(tmp_path / "t", levels=[1], loop_lag_ms=40.0)
    start_ns = int(trial.info["points"][0]["start_ns"])
    late = [(start_ns + k * PROBE_NS, "worker0", "loop_late_ns", 400e6 - k * PROBE_NS) for k in range(80)]
    stall = [(start_ns + 400_000_000, "machine", "stall_ns", 399e6)] if seen_by_the_bare_loop else []
    columns = ["at_ns", "source", "metric", "value"]
    machine = pd.concat([trial.machine, pd.DataFrame([*late, *stall], columns=columns).assign(schema_version=1)])
    found = only(dataclasses.replace(trial, machine=machine)).validity
    assert found.verdict is verdict


def test_without_samples_the_disturbance_is_unknown_not_nil(tmp_path: Path) -> None:
    found = only(made_up.trial(tmp_path / "t", levels=[1], cpu_rows=False)).validity
    assert (found.others_percent, found.steal_percent, found.loop_lag_p99_ms) == (None, None, None)


def sample(at_ms: int, value: float) -> dict[str, Any]:
    at_ns = at_ms * made_up.MS
    return {"schema_version": 1, "at_ns": at_ns, "source": "server", "metric": "cpu_s", "value": value}


@pytest.mark.parametrize(
    ("samples", "gained"),
    [
        ([(0, 1.0), (4000, 5.0)], 2.0),  # linear between samples
        ([(1100, 1.0), (2900, 2.8)], 2.0),  # a little short of both ends: the rate goes on
        ([(0, 5.0), (2000, 1.0), (4000, 2.0)], None),  # fell: another process
        ([(2500, 1.0), (4000, 2.0)], None),  # begins too late
        ([(0, 1.0)], None),
        ([], None),
    ],
)
def test_a_counters_gain_over_seconds_1_to_3(
    tmp_path: Path, samples: list[tuple[int, float]], gained: float | None
) -> None:
    frame = with_machine(made_up.trial(tmp_path / "t", requests=2), [sample(*s) for s in samples]).machine
    found = counters.Samples.of(frame).gain("server", "cpu_s", start_ns=1000 * made_up.MS, end_ns=3000 * made_up.MS)
    assert found == (pytest.approx(gained) if gained is not None else None)


def test_a_counter_may_fall_outside_of_the_span(tmp_path: Path) -> None:
    rows = [sample(*s) for s in [(0, 1.0), (2000, 3.0), (4000, 5.0), (6000, 0.0)]]
    frame = with_machine(made_up.trial(tmp_path / "t", requests=2), rows).machine
    assert counters.Samples.of(frame).gain("server", "cpu_s", start_ns=0, end_ns=4000 * made_up.MS) == pytest.approx(4)


def test_spans_are_those_of_the_level_and_repeat() -> None:
    info = {"points": [{"level": 1, "repeat": r, "start_ns": r * 10, "end_ns": r * 10 + 5} for r in range(2)]}
    assert validity.spans_of(info, 1.0, None) == [(0, 5), (10, 15)]
    assert validity.spans_of(info, 1.0, 1) == [(10, 15)]


def test_a_clip_counts_once_however_often_it_is_answered(tmp_path: Path) -> None:
    found = turns.decide([made_up.trial(tmp_path / "t", requests=200)])
    assert len(found.clips) == found.accuracy.n == made_up.CLIPS
    assert found.answers > 400
    assert sum(found.confusion.values()) == made_up.CLIPS
    assert (found.flips, found.largest_difference) == (0, 0)


def test_an_answer_that_moves_between_settings_is_seen(tmp_path: Path) -> None:
    trials = [made_up.trial(tmp_path / "a"), made_up.trial(tmp_path / "b", shift=0.2)]
    found = turns.decide(trials)
    assert found.largest_difference == pytest.approx(0.2, abs=1e-6)
    assert found.flips > 0


def test_confusion_follows_the_threshold(tmp_path: Path) -> None:
    found = turns.decide([made_up.trial(tmp_path / "t", settings={"threshold": 0.999999})])
    assert found.confusion == {"complete_complete": 0, "complete_cut": 20, "cut_complete": 0, "cut_cut": 20}


def test_without_labels_there_are_no_decisions(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", requests=20)
    found = turns.decide([with_rows(trial, trial.utterances.assign(label=None))])
    assert (found.clips, found.accuracy.reason) == ((), "no labelled clip was answered")
    assert found.as_dict()["largest_difference"] is None


def test_settings_in_words() -> None:
    settings = [{"sessions": s, "window_ms": w, "model": "v3"} for s in (1, 2) for w in (0.0, 2.5)]
    names = axes.varying(settings)
    assert names == ("sessions", "window_ms")
    assert axes.label(settings[1], names) == "1 session · window 2.5 ms"
    assert axes.values([{"b": "1,2,4"}, {"b": "1"}, {"b": None}], "b") == ["1", None, "1,2,4"]
