"""What a level must show to be called capacity: each guard met, missed and undecided, with its number and its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.yapbench import made_up, made_up_sessions
from tests.yapbench import made_up_streams as streams
from yapbench import measures
from yapbench.capacity import Observation, SearchOptions, observations_of, observe
from yapbench.capacity.guards import Guard, Verdict, guards_of
from yapbench.capacity.level import Level
from yapbench.capacity.observation import Heard
from yapbench.monitoring.counters import Samples
from yapbench.streams import measures as of_streams
from yapbench.validity import Verdict as Believed

OPTIONS = SearchOptions(slo_ms=300.0, replicates=200)


def probe(repeat: int = 0, *, level: int = 8, n: int = 60, middle_ms: float = 150.0, **changes: Any) -> Observation:
    times = np.random.default_rng(repeat).normal(middle_ms, 20, n)
    base = Observation(
        level=level,
        repeat=repeat,
        n=n,
        failures={},
        eos_ms=tuple(times),
        streams=tuple(k % level for k in range(n)),
        heard={},
        no_words="no text has a reference",
        no_lag="nothing says when words are spoken",
    )
    return replace(base, **changes)


def level_of(*kept: Observation, thrown: tuple[Observation, ...] = ()) -> Level:
    return Level(kept[0].level if kept else thrown[0].level, kept, thrown, OPTIONS)


def guards(level: Level, baseline: Level | None = None, *, lightest: Level | None = None) -> Mapping[str, Guard]:
    return {guard.name: guard for guard in guards_of(level, lightest or level_of(probe(level=1)), baseline)}


def three(**changes: Any) -> Level:
    return level_of(*(probe(repeat, **changes) for repeat in range(3)))


def said(count: int, *, wrong: int = 0, empty: int = 0, words: int = 10) -> dict[str, Heard]:
    """So many texts of so many words, `wrong` of them with one error each; `empty` ones came back without a word."""
    found = {f"text{k}": Heard(int(k < wrong), words, 0, 1) for k in range(count)}
    return found | {f"text{k}": Heard(words, words, 1, 1) for k in range(count - empty, count)}


def test_the_latency_is_met_when_its_upper_bound_is_within_the_target() -> None:
    found = guards(three())["latency"]

    assert found.verdict is Verdict.MET
    assert found.bound is not None and found.value is not None and found.value < found.bound <= 300
    assert found.text.startswith("p95 18") and found.text.endswith("all of it within the target of 300 ms")


def test_the_latency_is_missed_when_its_lower_bound_is_above_and_undecided_in_between() -> None:
    assert guards(three(middle_ms=500.0))["latency"].verdict is Verdict.MISSED
    between = guards(three(middle_ms=265.0))["latency"]
    assert between.verdict is Verdict.UNDECIDED
    assert between.text.endswith("the target of 300 ms lies in it")


def test_the_latency_needs_three_repeats_and_enough_utterances() -> None:
    twice = guards(level_of(probe(0, n=80), probe(1, n=80)))["latency"]
    assert (twice.verdict, twice.text.split("but ")[1]) == (Verdict.UNDECIDED, "seen only in 2 repeats; 3 are needed")

    few = guards(three(n=40))["latency"]
    assert (few.verdict, few.text.split("but ")[1]) == (
        Verdict.UNDECIDED,
        "130 utterances are needed and 120 were counted",
    )


def test_no_error_may_be_seen_and_the_bound_of_none_is_said() -> None:
    none = guards(three())["errors"]
    assert (none.verdict, none.value) == (Verdict.MET, 0.0)
    assert none.text == "none of 180 failed: a true share above 1.7 % is unlikely (one-sided 95 %)"

    one = guards(level_of(probe(0), probe(1), probe(2, failures={"timeout": 1})))["errors"]
    assert (one.verdict, one.text) == (Verdict.MISSED, "1 of 180 failed (0.56 %): timeout 1")


def test_long_streams_tell_by_their_rtf_whether_the_server_keeps_up() -> None:
    keeps = guards(three(stream_rtf=(1.01, 1.03)))["keeps up"]
    assert (keeps.verdict, keeps.value) == (Verdict.MET, 1.03)
    assert guards(three(stream_rtf=(1.01, 1.2)))["keeps up"].verdict is Verdict.MISSED


def test_short_streams_tell_by_the_slope_of_their_lag() -> None:
    level = tuple(np.random.default_rng(1).normal(0, 5, 60))
    rising = tuple(value + 40 for value in level)

    keeps, falls = guards(three(lag_slope=level))["keeps up"], guards(three(lag_slope=rising))["keeps up"]
    assert (keeps.verdict, falls.verdict) == (Verdict.MET, Verdict.MISSED)
    assert falls.text.endswith("all of it above 0")
    own = guards(three(lag_slope=rising), lightest=level_of(probe(level=1, lag_slope=rising)))["keeps up"]
    assert (own.verdict, own.text.split(": ")[1]) == (Verdict.UNDECIDED, "above 0, but so it is without the load")
    unknown = guards(three())["keeps up"]
    assert unknown.verdict is Verdict.UNDECIDED
    assert unknown.text.endswith("no stream is 30 s long, and nothing says when words are spoken")


@pytest.mark.parametrize(
    ("heard", "verdict", "why"),
    [
        (said(400), Verdict.MET, "no harm"),
        (said(400, wrong=300), Verdict.MISSED, "more words are wrong than is allowed"),
        (said(40), Verdict.UNDECIDED, "too few words to tell"),
        (said(400, empty=1), Verdict.UNDECIDED, "1 of 400 texts came back empty more often, which may be chance"),
        (said(400, empty=3, wrong=0), Verdict.UNDECIDED, "which may be chance"),
        (said(400, empty=9), Verdict.MISSED, ""),
    ],
)
def test_words_are_compared_with_those_of_the_lightest_level(
    heard: dict[str, Heard], verdict: Verdict, why: str
) -> None:
    base = level_of(probe(level=1, heard=said(400), no_words=""))
    found = guards(three(heard=heard, no_words=""), base)["words"]

    assert found.verdict is verdict
    assert why in found.text


def test_words_of_another_text_or_of_none_are_not_compared() -> None:
    base = level_of(probe(level=1, heard={"other": Heard(0, 9, 0, 1)}, no_words=""))

    apart = guards(three(heard=said(50), no_words=""), base)["words"]
    assert (apart.verdict, apart.bound) == (Verdict.UNDECIDED, None)
    assert guards(three())["words"].text == "words are not compared: no text has a reference"
    assert "no lighter level" in guards(base, base)["words"].text


def test_a_level_without_a_probe_that_may_be_believed_is_undecided() -> None:
    late = probe(validity=Believed.INVALID, reasons=("client late: p99 12.0 ms > 10 ms",))
    found = guards(level_of(thrown=(late, late)))

    assert {guard.verdict for guard in found.values()} == {Verdict.UNDECIDED}
    assert found["client"].text == "no probe may be believed; 2 thrown away (client late: p99 12.0 ms > 10 ms)"


def test_a_disturbed_probe_counts_and_is_said() -> None:
    found = guards(three(validity=Believed.DISTURBED, reasons=("others used 12 % of the cores",)))["client"]

    assert found.verdict is Verdict.MET
    assert found.text.endswith("disturbed in 3: others used 12 % of the cores")


def test_a_stored_trial_is_observed_probe_by_probe_and_agrees_with_its_report(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "abc", levels=(4, 16), repeats=3, count=50, failing_from=16)
    seen = observations_of(trial)

    points = {point.level: point for point in of_streams.points(trial)}
    four = Level(4, tuple(item for item in seen if item.level == 4), (), SearchOptions())
    assert [(item.level, item.repeat, item.n) for item in seen[:3]] == [(4, 0, 50), (16, 0, 50), (4, 1, 50)]
    assert four.tail == points[4.0]["eos_p95_ms"]
    assert four.lag_slope == points[4.0]["lag_slope_ms_per_s"]
    assert sum(item.failed for item in seen if item.level == 16) == sum(points[16.0].failures.values()) > 0
    errors = sum(each.errors for item in four.kept for each in item.heard.values())
    assert errors / sum(each.words for item in four.kept for each in item.heard.values()) == points[4.0]["wer"].value


def test_the_speed_of_a_probe_obeys_littles_law(tmp_path: Path) -> None:
    [seen] = observations_of(made_up_sessions.trial(tmp_path / "abc", levels=(8,), count=200))

    pause_s = 0.1  # between two utterances of a made-up stream
    assert seen.finished_per_s is not None and seen.cycle_s is not None and seen.speech_s is not None
    assert seen.finished_per_s * (seen.cycle_s + pause_s) == pytest.approx(8, rel=0.05)
    assert 1.5 < seen.speech_s < seen.cycle_s


def test_without_an_end_of_speech_the_end_message_counts(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "abc", levels=(4,))
    trial.utterances["speech_end_s"] = np.nan
    trial.utterances["words"] = None
    [seen] = observations_of(trial)

    assert seen.since == "eos_due"
    assert seen.known_ms.size == 40
    assert not seen.knows_lag and "does not say" in seen.no_lag


def test_requests_are_observed_by_their_latency(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "abc", levels=(4,), outcomes={"timeout": 0.1})
    [seen] = observations_of(trial)
    [point] = measures.points(trial)

    assert (seen.since, seen.speech_s, seen.heard) == ("latency", 0.0, {})
    assert Level(4, (seen,), (), SearchOptions()).tail_ms == point["latency_p95_ms"].value
    assert seen.failed == point.failures["timeout"] > 0


def test_words_of_random_weights_are_not_compared(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "abc", levels=(4,), settings={"model": "random"})
    [seen] = observations_of(trial)

    assert (seen.heard, seen.no_words) == ({}, "random weights: its words mean nothing")


def test_a_point_without_a_counted_utterance_is_thrown_away(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "abc", levels=(4, 16))
    rows = trial.utterances
    seen = observations_of(replace(trial, utterances=rows[(rows["level"] == 4) | (rows["phase"] == "warmup")]))

    assert [(item.level, item.valid, item.n) for item in seen] == [(4, True, 40), (16, False, 0)]
    assert seen[1].reasons == ("no utterance was counted",)


def test_long_streams_are_those_of_thirty_seconds() -> None:
    script = [(41_000.0, "final", "hello brave world")]
    long = streams.row(script, frames=400, audio_s=40.0, speech_end_s=40.0)
    rows = pd.DataFrame([long, streams.row()])
    seen = observe(rows, Samples({}), [(0, 1)], {"load": {"stream": {"pace": 1.0}}})

    assert seen.stream_rtf == (41 / 40,)


def test_rows_of_two_probes_are_refused() -> None:
    rows = pd.DataFrame([streams.row(), streams.row(repeat=1)])
    with pytest.raises(ValueError, match="exactly one probe"):
        observe(rows, Samples({}), [(0, 1)], {})
