"""Whether the load harms the words: paired on utterances, in closed form, with three answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tests.yapbench import made_up_streams
from tests.yapbench.test_stream_findings import INVALID, near, point
from yapbench import wer
from yapbench.measures import Point
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.streams import titles
from yapbench.streams.word_rates import Change, changes, widened

SAID = "apples grow near water"
HEARD = {0: SAID, 1: "apples grow near walls", 2: "apples go near walls"}
"""By the number of word errors."""

Level = Mapping[str, Sequence[int]]
"""Word errors of each sending, by utterance."""


def made(levels: Mapping[float, Level], **more: Any) -> tuple[list[TrialData], list[Point]]:
    """A trial of these levels, and its points."""
    points = [point(level, 100, **more) for level in levels]
    rows = [
        made_up_streams.row(
            [(1000, "final", HEARD[errors])], reference=SAID, level=level, utterance_id=name, request_id=f"{name}-{k}"
        )
        for level, sent in levels.items()
        for name, each in sent.items()
        for k, errors in enumerate(each)
    ]
    return [TrialData(Path(), {"trial_id": points[0].trial_id}, pd.DataFrame(rows), pd.DataFrame())], points


def utterances(count: int, errors: int, *, wrong: int | None = None) -> dict[str, list[int]]:
    """`count` utterances sent once, the first `wrong` of them (all) with so many errors."""
    return {f"u{k:03d}": [errors if wrong is None or k < wrong else 0] for k in range(count)}


def only(levels: Mapping[float, Level]) -> Change:
    (found,) = changes(*made(levels), replicates=300)
    return found


def test_the_difference_is_that_of_the_utterances_sent_at_both() -> None:
    light = {"a": [0], "b": [1], "c": [2]}
    heavy = {"a": [1], "b": [1, 2], "d": [2]}
    found = only({1: light, 8: heavy})
    assert found.difference.value == pytest.approx((1 + 0.5) / 8)
    assert found.difference.n == 2
    assert found.before == pytest.approx(1 / 8)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=12))
def test_it_is_the_difference_of_the_two_rates(pairs: list[tuple[int, int]]) -> None:
    light, heavy = ({f"u{k}": [pair[side]] for k, pair in enumerate(pairs)} for side in (0, 1))
    rates = [sum(errors for (errors,) in level.values()) / (4 * len(pairs)) for level in (light, heavy)]
    assert only({1: light, 8: heavy}).difference.value == pytest.approx(rates[1] - rates[0])


def test_a_rise_is_shown_and_said() -> None:
    trials, points = made({1: utterances(60, 0), 8: utterances(60, 1, wrong=30)})
    (found,) = changes(trials, points)
    assert found.verdict() == "rise"
    assert titles.words_with_load(points, [found]).startswith("WER rises from 1 stream to 8 streams by 12.5 points (")


def test_words_that_stay_the_same_are_no_rise() -> None:
    trials, points = made({1: utterances(40, 1), 8: utterances(40, 1)})
    (found,) = changes(trials, points)
    assert (found.difference.low, found.difference.high, found.verdict()) == (0, 0, "none")
    text = "The same utterances have as many word errors at 8 streams as at 1 stream (40 utterances)"
    assert titles.words_with_load(points, [found]) == text


def test_a_rise_that_may_be_or_not_be_is_undecided() -> None:
    trials, points = made({1: utterances(60, 0), 8: utterances(60, 1, wrong=1)})
    (found,) = changes(trials, points)
    assert found.verdict() == "undecided"
    assert "is undecided: " in titles.words_with_load(points, [found])
    assert titles.words_with_load(points, [found]).endswith(" points more are not ruled out")


def test_fewer_than_thirty_utterances_decide_nothing() -> None:
    trials, points = made({1: utterances(29, 0), 8: utterances(29, 2)})
    (found,) = changes(trials, points)
    assert found.verdict() == "undecided"
    said = titles.words_with_load(points, [found])
    assert said == "Whether WER rises from 1 stream to 8 streams is undecided: only 29 utterances were sent at both"


def test_the_lighter_load_is_the_lightest_that_shares_enough_utterances() -> None:
    assert only({1: utterances(5, 0), 4: utterances(40, 0), 16: utterances(40, 0)}).light.level == 4
    assert only({1: utterances(5, 0), 4: utterances(9, 0), 16: utterances(9, 0)}).light.level == 1


def test_failed_streams_warm_up_and_invalid_loads_have_no_part() -> None:
    trials, points = made({1: utterances(40, 0), 8: utterances(40, 0), 32: utterances(40, 2)})
    points[2] = point(32, 100, validity=INVALID)
    rows = trials[0].utterances
    spoilt = (
        rows[rows["level"] == 8].head(3).assign(outcome=["timeout", "ok", "ok"], phase=["steady", "warmup", "drain"])
    )
    events = [{"at_ns": 1, "kind": "final", "text": "wrong", "data": None}]
    spoilt["events"] = pd.Series([events] * 3, index=spoilt.index)
    worse = TrialData(Path(), trials[0].info, pd.concat([rows, spoilt]), pd.DataFrame())
    (found,) = changes([worse], points, replicates=100)
    assert (found.heavy.level, found.difference.value) == (8, 0)


def test_nothing_is_compared_without_two_scored_loads_or_a_common_utterance() -> None:
    assert changes(*made({8: utterances(40, 0)})) == []
    assert changes(*made({1: utterances(40, 0), 8: utterances(40, 0)}, wer=Estimate.missing("no reference"))) == []
    apart = only({1: {"a": [0]}, 8: {"b": [0]}})
    assert apart.difference.reason == "no utterance was sent, and ended well, at both loads"
    assert apart.verdict() == "undecided"


def test_several_settings_are_judged_by_wider_intervals() -> None:
    found = Estimate(0.01, 0.002, 0.03, 100)
    assert widened(found, 1) == pytest.approx((0.002, 0.03))
    stretch = special.ndtri(1 - 0.025 / 6) / special.ndtri(0.975)
    assert widened(found, 6) == pytest.approx((0.01 - 0.008 * stretch, 0.01 + 0.02 * stretch))
    change = Change(point(1, 100), point(8, 100), 0.1, found)
    assert (change.verdict(1), change.verdict(6)) == ("rise", "undecided")
    assert widened(Estimate.missing("none"), 3) == (None, None)


@pytest.mark.parametrize(("before", "limit"), [(0.0, 0.002), (0.04, 0.002), (0.2, 0.01)])
def test_the_limit_is_two_tenths_of_a_point_or_a_twentieth(before: float, limit: float) -> None:
    assert Change(point(1, 100), point(8, 100), before, near(0.01)).limit == pytest.approx(limit)


def test_chance_alone_is_seldom_called_a_rise() -> None:
    rng, alarms = np.random.default_rng(7), 0
    for _ in range(60):
        levels = {level: {f"u{k}": [int(rng.random() < 0.3)] for k in range(40)} for level in (1.0, 8.0)}
        alarms += only(levels).verdict() == "rise"
    assert alarms <= 5  # 1.5 are expected; of more than 5 the chance is 0.4 %


def test_equal_texts_are_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def score(reference: str, hypothesis: str | None, *, language: str | None) -> wer.Score:
        asked.append(str(hypothesis))
        return own(reference, hypothesis, language=language)

    own = wer.score
    monkeypatch.setattr(wer, "score", score)
    only({1: utterances(40, 1, wrong=7), 8: utterances(40, 0)})
    assert sorted(asked) == sorted([HEARD[0], HEARD[1]])
