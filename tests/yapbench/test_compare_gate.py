"""Rows to effects: the numbers are those of the report, both sides are drawn together, gaps have their reasons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.yapbench import made_up, made_up_sessions, made_up_sides
from yapbench import measures
from yapbench.compare import draws, gate
from yapbench.compare.effect import Effect
from yapbench.compare.family import Verdict, judge
from yapbench.compare.pair import Compared, Level
from yapbench.pacing.streaming import StreamOptions
from yapbench.store import TrialData

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built


def level_of(before: TrialData, after: TrialData, level: float, *, open_loop: bool = False) -> Level:
    sides = []
    for trial in (before, after):
        rows = trial.utterances[trial.utterances["level"] == level]
        sides.append(rows.assign(round=rows["repeat"]).reset_index(drop=True))
    return Level(sides[0], sides[1], paired=True, open_loop=open_loop)


def by_name(found: Compared) -> dict[str, Effect]:
    return {one.metric.name: one for one in found.effects}


@pytest.fixture(scope="module")
def turns(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialData, TrialData]:
    folder = tmp_path_factory.mktemp("turns")
    lost = {"timeout": 0.1}
    before = made_up.trial(folder / "a", levels=(8,), repeats=3, requests=140)
    return before, made_up.trial(folder / "b", levels=(8,), repeats=3, requests=140, service_ms=40, outcomes=lost)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialData, TrialData]:
    folder = tmp_path_factory.mktemp("talks")
    before = made_up_sessions.trial(folder / "a", levels=(8,), repeats=2, count=80)
    return before, made_up_sessions.trial(folder / "b", levels=(8,), repeats=2, count=80, slow=1.3)


def test_numbers_of_requests_are_those_of_the_report(turns: tuple[TrialData, TrialData]) -> None:
    found = by_name(gate.requests(level_of(*turns, 8)))
    assert list(found) == ["latency_p50_ms", "latency_p95_ms", "rps", "ok_share"]
    for name, one in found.items():
        points = [measures.points(trial, replicates=2)[0][name].value for trial in turns]
        assert (one.before, one.after) == pytest.approx(points)


def test_numbers_of_streams_are_those_of_the_report(talks: tuple[TrialData, TrialData]) -> None:
    found = by_name(gate.streams(level_of(*talks, 8)))
    assert list(found) == ["eos_p50_ms", "eos_p95_ms", "ttfp_p50_ms", "ok_share"]
    for name, one in found.items():
        points = [measures.points_of(trial, replicates=2)[0][name].value for trial in talks]
        assert (one.before, one.after) == pytest.approx(points)


def test_streams_of_an_open_loop_have_a_rate(talks: tuple[TrialData, TrialData]) -> None:
    rate = by_name(gate.streams(level_of(*talks, 8, open_loop=True)))["audio_s_per_s"]
    points = [measures.points_of(trial, replicates=2)[0]["audio_s_per_s"].value for trial in talks]
    assert (rate.before, rate.after) == pytest.approx(points)


def test_unpaced_streams_have_their_speed_and_no_times(tmp_path: Path) -> None:
    options = StreamOptions(pace=0)
    trial = made_up_sessions.trial(tmp_path / "a", levels=(8,), count=40, options=options)
    found = by_name(gate.streams(level_of(trial, trial, 8)))
    assert list(found) == ["ok_share", "rtfx", "audio_s_per_s"]
    assert found["rtfx"].before == pytest.approx(measures.points_of(trial, replicates=2)[0]["rtfx"].value)


def test_identical_rows_differ_in_nothing(turns: tuple[TrialData, TrialData]) -> None:
    judged = judge(gate.requests(level_of(turns[0], turns[0], 8)).effects)
    assert {one.effect.size for one in judged} == {0.0}
    assert {one.verdict for one in judged} <= {Verdict.SAME, Verdict.OPEN}


def test_the_other_way_round_is_the_same_with_another_sign(turns: tuple[TrialData, TrialData]) -> None:
    there, back = (gate.requests(level_of(*sides, 8)).effects for sides in (turns, turns[::-1]))
    for one, other in zip(there, back, strict=True):
        turned = other.turned()
        assert turned.size == pytest.approx(one.size)
        assert (turned.before, turned.n_after) == (one.before, one.n_after)
        assert turned.variance == pytest.approx(one.variance, rel=1e-5)


def test_what_both_sides_share_is_no_noise() -> None:
    rng = np.random.default_rng(5)
    of_stream = rng.normal(0, 0.3, made_up_sides.STREAMS).tolist()
    sides = [made_up_sides.rows(rng, n=300, rounds=3, base_ms=50, sigma=0.05, of_stream=of_stream) for _ in range(2)]
    shuffled = sides[1].assign(stream=(sides[1]["stream"] * 3 + sides[1]["round"] + 1) % made_up_sides.STREAMS)
    paired, apart = (by_name(gate.requests(Level(sides[0], other, True))) for other in (sides[1], shuffled))
    assert paired["latency_p50_ms"].variance < 0.5 * apart["latency_p50_ms"].variance


def test_below_five_streams_utterances_are_drawn_by_their_place() -> None:
    one = draws.Rows.of([0] * 12, [0, 1, 2] * 4, range(12))
    other = draws.Rows.of([0] * 12, [2, 0, 1] * 4, range(12))
    drawn = draws.draw(one, other)
    assert (drawn.before == drawn.after).all()
    assert drawn.freedom == 11


def test_rounds_keep_their_number_of_blocks() -> None:
    rows = draws.Rows.of(np.repeat([0, 1], 40), np.tile(np.arange(8), 10), np.tile(np.arange(40), 2))
    drawn = draws.draw(rows, rows)
    assert (drawn.before[:, :40].sum(axis=1) == 40).all()
    assert drawn.freedom == 14


def test_a_tail_of_too_few_is_left_out_with_its_reason(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "a", levels=(4,), requests=100)
    found = gate.requests(level_of(trial, trial, 4))
    assert "latency_p95_ms" not in by_name(found)
    assert ("latency p95", "fewer than 130 utterances with a value") in found.omitted


def test_times_of_unequal_work_are_not_compared(tmp_path: Path) -> None:
    before = made_up_sessions.trial(tmp_path / "a", levels=(8,), count=40, partials=4)
    after = made_up_sessions.trial(tmp_path / "b", levels=(8,), count=40, partials=2)
    found = gate.streams(level_of(before, after, 8))
    assert list(by_name(found)) == ["ok_share"]
    assert sum("unequal work" in why for _, why in found.omitted) == 3


def many(trial: TrialData) -> TrialData:
    """Each utterance a text of its own: made-up trials say eight."""
    names = [
        f"{name}-{index}"
        for name, index in zip(trial.utterances["utterance_id"], trial.utterances["index"], strict=True)
    ]
    return replace(trial, utterances=trial.utterances.assign(utterance_id=names))


def test_wer_is_paired_by_utterance_and_each_counts_once(tmp_path: Path) -> None:
    before = many(made_up_sessions.trial(tmp_path / "a", levels=(8,), count=60, wrong=0.2))
    twice = pd.concat([before.utterances, before.utterances.assign(repeat=1)], ignore_index=True)
    found = by_name(gate.streams(level_of(before, replace(before, utterances=twice), 8)))["wer"]
    assert found.size == 0.0
    assert found.before == pytest.approx(measures.points_of(before, replicates=2)[0]["wer"].value)
    assert found.n_after == 60


def test_more_wrong_words_are_found(tmp_path: Path) -> None:
    sides = [
        many(made_up_sessions.trial(tmp_path / str(wrong), levels=(8,), count=150, wrong=wrong)) for wrong in (0.1, 0.9)
    ]
    judged = {one.effect.metric.name: one for one in judge(gate.streams(level_of(sides[0], sides[1], 8)).effects)}
    assert judged["wer"].verdict is Verdict.WORSE


def test_random_weights_have_no_wer(talks: tuple[TrialData, TrialData]) -> None:
    found = gate.streams(replace(level_of(*talks, 8), scored=False))
    assert ("WER", "random weights: its words mean nothing") in found.omitted
