"""Which settings belong together, what may differ between the sides, and how rounds find each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up
from yapbench.compare import rounds
from yapbench.compare.matching import Match, match
from yapbench.compare.sides import Side
from yapbench.store import TrialData


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> TrialData:
    return made_up.trial(tmp_path_factory.mktemp("runs") / "a", levels=(1, 4), requests=30)


def changed(trial: TrialData, *, seed: int = 1, load: Mapping[str, Any] | None = None, **settings: Any) -> TrialData:
    """The same rows under another setting, seed or load."""
    info = trial.info
    kept = {name: value for name, value in (info["settings"] | settings).items() if value != "left out"}
    return replace(trial, info={**info, "settings": kept, "load": {**info["load"], "seed": seed, **(load or {})}})


def side(*trials: TrialData, name: str = "x") -> Side:
    return Side(name, Path(name), trials, (), ())


def test_equal_settings_match_and_others_are_listed(trial: TrialData) -> None:
    one, two, three = (changed(trial, sessions=n) for n in (1, 2, 3))
    found = match(side(one, two), side(one, three, name="y"))
    assert [item.label for item in found.matches] == ["1 session"]
    assert found.alone == (("2 sessions", "only in x"), ("3 sessions", "only in y"))


def test_what_differs_between_and_not_within_the_sides_is_named(trial: TrialData) -> None:
    before = [changed(trial, sessions=n, window_ms=5.0) for n in (1, 2)]
    found = match(side(*before), side(*(changed(one, window_ms=10.0) for one in before)))
    assert [item.words for item in found.differences] == ["window, ms: window 5 ms before, window 10 ms after"]
    assert len(found.matches) == 2


def test_a_setting_that_is_new_is_named(trial: TrialData) -> None:
    found = match(side(trial), side(changed(trial, brand_new=3)))
    assert [item.words for item in found.differences] == ["brand new: not a setting before, brand new 3 after"]


@pytest.mark.parametrize("how", [{"eos": "silence"}, {"pace": 10.0}, {"phases": "aligned"}, {"frame_ms": 20.0}])
def test_another_way_of_speaking_never_matches(trial: TrialData, how: dict[str, Any]) -> None:
    spoken = {"eos": "commit", "pace": 1.0, "phases": "random", "frame_ms": 80.0}
    sides = [changed(trial, load={"stream": stream}) for stream in (spoken, spoken | how)]
    assert match(side(sides[0]), side(sides[1])).matches == ()


def test_another_kind_of_load_never_matches(trial: TrialData) -> None:
    assert match(side(trial), side(changed(trial, load={"kind": "poisson"}))).matches == ()


def test_trials_that_differ_in_their_seed_are_rounds_of_one_setting(trial: TrialData) -> None:
    sides = [side(*(changed(trial, seed=seed) for seed in seeds)) for seeds in ((3, 1, 2), (2, 3, 4))]
    [found] = match(*sides).matches
    assert [one.info["load"]["seed"] for one in found.before] == [1, 2, 3]
    [leveled, _] = rounds.levels(found, rounds.points(found))
    assert (leveled.rounds, leveled.unmatched) == ((2, 2), 2)
    assert leveled.rows is not None and leveled.rows.paired


def test_of_one_setting_and_seed_the_latest_counts(trial: TrialData) -> None:
    later = replace(trial, folder=Path("later"), info={**trial.info, "started_at": "2026-11-21T12:00:00+00:00"})
    found = match(side(later, trial), side(trial))
    assert found.matches[0].before == (later,)
    assert found.alone == (("a of x", "an older trial of the same setting and seed"),)


def test_rounds_that_sent_other_utterances_are_not_paired(trial: TrialData) -> None:
    rows = trial.utterances.assign(utterance_id=trial.utterances["utterance_id"].str.upper())
    found = Match({"load": "closed"}, "", (trial,), (replace(trial, utterances=rows),))
    assert [one.rows.paired for one in rounds.levels(found, rounds.points(found)) if one.rows] == [False, False]


def test_rounds_of_other_seeds_are_not_paired(trial: TrialData) -> None:
    found = Match({"load": "closed"}, "", (trial,), (changed(trial, seed=9),))
    assert [one.rows.paired for one in rounds.levels(found, rounds.points(found)) if one.rows] == [False, False]


def test_an_invalid_level_has_no_rows_and_says_why(trial: TrialData, tmp_path: Path) -> None:
    late = made_up.trial(tmp_path / "late", levels=(1, 4), requests=30, lateness_ms=60)
    found = Match({"load": "closed"}, "", (trial,), (late,))
    leveled = rounds.levels(found, rounds.points(found))
    assert [one.rows for one in leveled] == [None, None]
    assert "after: client late" in leveled[0].invalid[0]


def test_loads_of_one_side_alone_are_known(trial: TrialData, tmp_path: Path) -> None:
    other = made_up.trial(tmp_path / "b", levels=(4, 8), requests=30)
    points = rounds.points(Match({"load": "closed"}, "", (trial,), (other,)))
    assert rounds.only_one_side(points) == [1.0, 8.0]
