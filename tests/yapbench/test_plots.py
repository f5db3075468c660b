"""Figures: labelled, self-contained, the same bytes, nothing overlapping, readable colours, every data shape drawn."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench import made_up
from yapbench import figure, measures, plots, store, turns
from yapbench.figure import DARK, LIGHT, Figure
from yapbench.measures import Point
from yapbench.plots.cells import ink_on, shade
from yapbench.validity import Verdict


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[store.TrialData]:
    return store.read_sweep(made_up.sweep(tmp_path_factory.mktemp("runs") / "quick", requests=30))


@pytest.fixture(scope="module")
def points(trials: list[store.TrialData]) -> list[Point]:
    return [point for trial in trials for point in measures.points(trial, replicates=50)]


OF_POINTS: list[Callable[[Sequence[Point]], Figure]] = [
    plots.latency_by_level,
    plots.throughput_by_level,
    plots.heat_map,
    plots.batch_sizes,
    plots.queue_and_inference,
]


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def check(drawn: Figure) -> None:
    """What every figure must be."""
    assert drawn.title
    assert set(drawn.svgs) == {"wide", "phone"}
    for svg in drawn.svgs.values():
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert drawn.title in (root.get("aria-label") or "")
        assert "http" not in svg
        assert not re.search(r"#0[1-6]0[1-6]0[1-6]|#0a0a0", svg), "a marker colour was left"
        assert "<style" not in svg
        assert "font-family" not in svg


@pytest.mark.parametrize("draw", OF_POINTS, ids=lambda f: f.__name__)
def test_every_figure_is_labelled_and_self_contained(
    draw: Callable[[Sequence[Point]], Figure], points: list[Point]
) -> None:
    check(draw(points))


@pytest.mark.parametrize("draw", OF_POINTS, ids=lambda f: f.__name__)
def test_every_figure_is_drawn_from_one_setting_at_one_level(
    draw: Callable[[Sequence[Point]], Figure], points: list[Point]
) -> None:
    check(draw([points[0]]))


@pytest.mark.parametrize("draw", OF_POINTS, ids=lambda f: f.__name__)
def test_invalid_points_are_drawn(draw: Callable[[Sequence[Point]], Figure], points: list[Point]) -> None:
    late = dataclasses.replace(points[0].validity, verdict=Verdict.INVALID)
    check(draw([dataclasses.replace(point, validity=late) for point in points]))


@pytest.mark.parametrize("draw", OF_POINTS, ids=lambda f: f.__name__)
def test_without_an_answer_a_figure_gives_its_reason(draw: Callable[[Sequence[Point]], Figure], tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "t", requests=10, outcomes={"refused": 1.0})
    drawn = draw(measures.points(trial, replicates=10))
    assert "missing" in drawn.svgs["wide"]
    assert drawn.label.endswith(".")


def test_the_other_figures_are_labelled_and_self_contained(trials: list[store.TrialData]) -> None:
    check(plots.resources_over_time(trials[0]))
    check(plots.turn_probabilities(turns.decide(trials), trials=len(trials)))


def test_a_timeline_shows_gpu_memory_where_there_is_some(trials: list[store.TrialData]) -> None:
    machine = trials[0].machine
    gpu = machine[machine["metric"] == "rss_bytes"].assign(source="gpu0", metric="vram_server_bytes")
    with_gpu = dataclasses.replace(trials[0], machine=pd.concat([machine, gpu], ignore_index=True))
    assert "gpu0 memory" in plots.resources_over_time(with_gpu).svgs["wide"]
    assert "gpu0 memory" not in plots.resources_over_time(trials[0]).svgs["wide"]


def test_drawn_twice_the_bytes_are_the_same(points: list[Point]) -> None:
    once, again = (plots.latency_by_level(points).html() for _ in range(2))
    assert once == again


@pytest.mark.slow
def test_no_two_elements_of_a_page_share_an_id(points: list[Point]) -> None:
    ids = [name for draw in OF_POINTS for name in re.findall(r' id="([^"]+)"', draw(points).html())]
    assert len(ids) == len(set(ids)) > 0


def test_hover_texts_give_value_interval_and_n(points: list[Point]) -> None:
    text = plots.heat_map(points).svgs["wide"]
    assert len(re.findall(r"<title>[^<]* ms \([\d.]+–[\d.]+; n 30\)</title>", text)) == len(points)


def test_a_hover_text_is_escaped() -> None:
    def paint(sheet: figure.Sheet) -> None:
        sheet.tip_at(sheet.canvas.add_axes((0, 0, 1, 1)), 0, 0, "<b> & co")

    assert "&lt;b&gt; &amp; co" in figure.draw("t", paint, title="t", label="t").svgs["wide"]


def test_few_settings_are_all_in_colour_many_only_the_best_of_each(points: list[Point]) -> None:
    few = [p for p in points if p.setting["sessions"] == 1 and p.setting["window_ms"] == 0]
    assert len(plots.highlighted(few)) == 2
    lines = plots.highlighted(points)
    assert [line.name for line in lines] == ["1 session", "2 sessions"]
    assert len({line.colour for line in lines}) == 2


def test_a_figure_shows_itself_in_a_notebook(points: list[Point]) -> None:
    markup = plots.throughput_by_level(points)._repr_html_()
    assert markup.count("<svg") == 1
    assert "--s1:" in markup


@pytest.mark.parametrize(("theme", "page"), [(LIGHT, "#FFFFFF"), (DARK, "#1D2027")], ids=["light", "dark"])
def test_series_stand_out_from_the_page(theme: dict[str, str], page: str) -> None:
    assert theme["--card"] == page
    assert all(contrast(theme[f"--s{k}"], page) >= 4.5 for k in range(1, 6))
    assert contrast(theme["--muted"], page) >= 4.5


@given(st.floats(0, 1))
def test_text_on_a_cell_is_readable(share: float) -> None:
    assert contrast(shade(share), ink_on(shade(share))) >= 4.5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_never_overlap_and_keep_their_order(wanted: list[float]) -> None:
    placed = figure.spread(wanted, 0.1, 0.0, 1.0)
    ordered = [place for _, place in sorted(zip(wanted, placed, strict=True))]
    assert all(b - a >= 0.1 - 1e-9 for a, b in itertools.pairwise(ordered))
    assert ordered[-1] <= 1 + 1e-9
    assert ordered[0] >= -1e-9
