"""Figures of streams: labelled, self-contained, one policy and one pace each, every data shape drawn."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.yapbench import made_up_sessions
from tests.yapbench.test_plots import check
from yapbench import plots, store
from yapbench.figure import WIDTHS, Figure
from yapbench.measures import Point
from yapbench.pacing.streaming import StreamOptions
from yapbench.plots import legend, outcomes
from yapbench.schema import Outcome
from yapbench.streams import measures
from yapbench.validity import Verdict

POLICY = "end of speech: commit by the client"


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[store.TrialData]:
    return store.read_sweep(made_up_sessions.sweep(tmp_path_factory.mktemp("runs") / "wires", count=40))


@pytest.fixture(scope="module")
def points(trials: list[store.TrialData]) -> list[Point]:
    return [point for trial in trials for point in measures.points(trial, replicates=50)]


OF_POINTS: list[Callable[[Sequence[Point]], Figure]] = [
    plots.eos_by_level,
    plots.ttfp_by_level,
    plots.failures_by_type,
    plots.frame_lateness,
]
OF_TRIALS: list[Callable[[store.TrialData], Figure]] = [plots.ecdf, plots.session_timeline, plots.latency_over_time]


@pytest.mark.parametrize("draw", OF_POINTS, ids=lambda f: f.__name__)
def test_every_figure_is_labelled_and_self_contained(
    draw: Callable[[Sequence[Point]], Figure], points: list[Point]
) -> None:
    check(draw(points))
    check(draw(points[:1]))


@pytest.mark.parametrize("draw", OF_POINTS, ids=lambda f: f.__name__)
def test_invalid_points_are_drawn(draw: Callable[[Sequence[Point]], Figure], points: list[Point]) -> None:
    late = dataclasses.replace(points[0].validity, verdict=Verdict.INVALID)
    check(draw([dataclasses.replace(point, validity=late) for point in points]))


@pytest.mark.slow
@pytest.mark.parametrize("draw", OF_TRIALS, ids=lambda f: f.__name__)
def test_figures_of_one_trial(draw: Callable[[store.TrialData], Figure], trials: list[store.TrialData]) -> None:
    for trial in trials:
        check(draw(trial))


@pytest.mark.parametrize("draw", [plots.eos_by_level, plots.ttfp_by_level], ids=lambda f: f.__name__)
def test_the_policy_stands_in_the_title(draw: Callable[[Sequence[Point]], Figure], points: list[Point]) -> None:
    drawn = draw(points)
    assert drawn.title.endswith(f" · {POLICY}")
    assert (drawn.manner, POLICY in drawn.finding) == (POLICY, False)


def test_the_policy_stands_in_the_titles_of_trials_too(trials: list[store.TrialData]) -> None:
    assert all(draw(trials[0]).title.endswith(POLICY) for draw in OF_TRIALS)
    assert plots.ecdf(trials).title.endswith(POLICY)


def test_another_policy_is_left_out(points: list[Point]) -> None:
    other = [dataclasses.replace(p, setting={**p.setting, "eos": "silence"}) for p in points]
    assert plots.eos_by_level([*points, *other]).html() == plots.eos_by_level(points).html()


def test_two_paces_never_share_a_chart(points: list[Point], trials: list[store.TrialData], tmp_path: Path) -> None:
    fast = [dataclasses.replace(p, setting={**p.setting, "pace": 10.0}) for p in points]
    with pytest.raises(ValueError, match="paces 1, 10 cannot share a chart"):
        plots.eos_by_level([*points, *fast])
    quick = made_up_sessions.trial(tmp_path / "t", count=10, levels=(1,), options=StreamOptions(pace=10))
    with pytest.raises(ValueError, match="several paces"):
        plots.ecdf([*trials, quick])
    check(plots.ecdf([*trials, quick], pace=1))


def test_audio_without_a_clock_has_rtfx_and_says_it_is_not_real_time(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "t", count=12, levels=(1, 4), options=StreamOptions(pace=0))
    points = measures.points(trial, replicates=20)
    drawn = plots.rtfx_by_level(points)
    check(drawn)
    assert drawn.title.endswith("as fast as accepted, not real time")
    assert "missing" in plots.eos_by_level(points).svgs["wide"]
    assert "missing" in plots.frame_lateness(points).svgs["wide"]
    check(plots.session_timeline(trial))


@pytest.mark.parametrize("draw", OF_POINTS[:2], ids=lambda f: f.__name__)
def test_without_a_final_a_figure_gives_its_reason(draw: Callable[[Sequence[Point]], Figure], tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "t", count=12, levels=(4,), failing_from=1, failing=1.0)
    assert "missing" in draw(measures.points(trial, replicates=10)).svgs["wide"]
    check(plots.session_timeline(trial))
    assert "missing" in plots.ecdf(trial).svgs["wide"]


def heights_of_lines(drawn: Figure) -> list[float]:
    """Where the long steps of an ECDF end, as the y of their last vertex; smaller is higher."""
    paths = re.findall(r'd="([^"]+)" clip-path[^>]*stroke: var\(--s\d\)', drawn.svgs["wide"])
    return [float(path.split()[-1]) for path in paths if path.count("L") > 10]


def test_failed_streams_keep_a_line_below_the_top(trials: list[store.TrialData]) -> None:
    pcm, json_wire = (heights_of_lines(plots.ecdf(t))[-1] for t in trials[:2])
    assert json_wire > pcm + 5  # at 32 streams one in eight failed


def test_no_more_lines_than_colours_and_the_rest_is_counted(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "t", count=6, levels=(1, 2, 3, 4, 5, 6, 7))
    drawn = plots.ecdf(trial)
    assert len(heights_of_lines(drawn)) <= 5
    assert "Left out for room: 2 more." in drawn.note
    assert all(f">{level} stream" in drawn.svgs["wide"] for level in (1, 7))


def test_lines_of_settings_have_the_colours_of_the_other_figures(
    trials: list[store.TrialData], points: list[Point]
) -> None:
    lines = plots.highlighted(points, by="eos_p50_ms")
    drawn = plots.ecdf(trials, lines=lines[1:])
    assert drawn.svgs["wide"].count("(n 40)") == 2
    assert "var(--s1)" not in drawn.svgs["wide"]


def test_lanes_around_the_first_failure_and_the_others_counted(trials: list[store.TrialData]) -> None:
    drawn = plots.session_timeline(trials[1])
    assert re.match(r"\d of 40 sessions at 32 streams failed", drawn.title)
    assert re.search(r"26 of 40 sessions .* Not shown: 14, (none|\d) of them failed\.", drawn.note)
    assert plots.session_timeline(trials[1], level=1).title.startswith("Every one of 40 sessions at 1 stream")


def test_hover_texts_of_lanes_are_escaped(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "t", count=6, levels=(1,))
    rows = trial.utterances.assign(utterance_id="<b>")
    drawn = plots.session_timeline(dataclasses.replace(trial, utterances=rows))
    assert "<b>" not in drawn.html()
    assert "&lt;b&gt;" in drawn.html()


def test_shares_of_failures_have_intervals_and_none_seen_has_a_bound(points: list[Point]) -> None:
    texts = plots.failures_by_type(points).svgs["wide"]
    assert texts.count(">none of 40, at most 7.2 %<") == 8
    assert re.search(r">\d+\.\d % \(\d+\.\d–\d+\.\d\)<", texts)
    without = [point for point in points if not point.failures]
    assert "none of 120, at most 2.5 %" in plots.failures_by_type(without).svgs["wide"]


def test_every_type_of_failure_has_a_look_of_its_own() -> None:
    failures = [outcome for outcome in Outcome if outcome is not Outcome.OK]
    looks = [outcomes.look(outcome) for outcome in failures]
    assert len(set(looks)) == len(failures)
    assert outcomes.look("new in a later version") == outcomes.OTHER


@pytest.mark.parametrize("size", list(WIDTHS))
def test_a_legend_breaks_where_it_must(size: str) -> None:
    items = [("word" * 4, "red")] * 9
    lines = legend.lines_of(items, size)
    assert [item for line in lines for item in line] == items
    assert legend.height(items, size) > legend.height(items[:1], size)


@pytest.mark.slow
def test_drawn_twice_the_bytes_are_the_same_and_ids_are_unique(
    trials: list[store.TrialData], points: list[Point]
) -> None:
    once = [draw(points).html() for draw in OF_POINTS] + [draw(trials[0]).html() for draw in OF_TRIALS]
    assert once[0] == plots.eos_by_level(points).html()
    assert once[-2] == plots.session_timeline(trials[0]).html()
    ids = re.findall(r' id="([^"]+)"', "".join(once))
    assert len(ids) == len(set(ids)) > 0


def test_a_long_run_is_drawn_over_time_with_its_failures(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "t", count=60, levels=(8,), kind="soak", failing_from=8)
    drawn = plots.latency_over_time(trial)
    assert re.match(r"Half of the finals within \d+ ms in the first third, \d+ ms in the last", drawn.title)
    assert re.search(r"Marks at the top: \d+ failures", drawn.note)
