"""The classic table of a concurrency ramp: a row a load, with what the points and the GPUs' samples say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up_sessions
from tests.yapbench.pages import Page, assert_offline
from yapbench import devices, plots, report
from yapbench.devices import Devices
from yapbench.measures import Point
from yapbench.pacing.streaming import WHOLE_FILES, StreamOptions
from yapbench.report import ramp as tables
from yapbench.stats import Estimate
from yapbench.streams import measures, ramp
from yapbench.streams.results import StreamResults

pytestmark = pytest.mark.slow  # each page is built whole

LEVELS = (1, 5, 10)
NO_GPU = Devices(*[Estimate.missing("no GPU was watched")] * 4)
GPU = Devices(*[Estimate(value, n=9) for value in (40.0, 90.0, 3000.0, 3500.0)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Streams and files, each at three loads; another setting at two."""
    folder = tmp_path_factory.mktemp("runs") / "ramp"
    files: dict[str, Any] = {"client": "echo_upload", "options": WHOLE_FILES, "partials": 0}
    few: dict[str, Any] = {"levels": (1, 5), "client": "echo_json"}
    for number, more in enumerate(({}, files, few)):
        made_up_sessions.trial(folder / f"{number}0a1b2c3d4e5", **{"levels": LEVELS, "count": 40, **more})
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return report.build(folder).read_text(encoding="utf-8")


def points_of(folder: Path, **more: Any) -> list[Point]:
    trial = made_up_sessions.trial(folder, **{"levels": LEVELS, "count": 40, **more})
    return measures.points(trial, replicates=50)


def test_the_rows_are_the_points(tmp_path: Path) -> None:
    points = points_of(tmp_path / "a")
    columns = ramp.columns(points, [NO_GPU] * 3)
    shown = {one.title: one.value(points[1], NO_GPU) for one in columns}
    assert list(shown) == [
        *("EOS p50, ms", "EOS p95, ms", "EOS mean, ms", "WER, %"),
        *("CPU s/audio s", "CPU, %", "RSS peak, MiB"),
    ]
    assert shown["EOS p95, ms"] == points[1]["eos_p95_ms"] and shown["RSS peak, MiB"] == points[1]["rss_peak_mib"]
    assert ramp.is_ramp(points) and not ramp.is_ramp(points[:2])


def test_with_a_gpu_it_is_the_gpu_that_is_told(tmp_path: Path) -> None:
    points = points_of(tmp_path / "a")
    told = {one.title: one.value(points[0], GPU).value for one in ramp.columns(points, [GPU] * 3)[4:]}
    assert told == {"GPU p95, %": 90, "GPU mean, %": 40, "VRAM peak, MiB": 3500, "VRAM mean, MiB": 3000}


@pytest.mark.parametrize(
    ("options", "title"), [(WHOLE_FILES, "answer p50, ms"), (StreamOptions(pace=0), "flush p50, ms")]
)
def test_audio_without_a_clock_has_another_time(tmp_path: Path, options: StreamOptions, title: str) -> None:
    points = points_of(tmp_path / "a", options=options)
    column = ramp.columns(points, [NO_GPU] * 3)[0]
    assert column.title == title and column.value(points[0], NO_GPU) == points[0]["flush_p50_ms"]


def test_the_page_has_a_table_for_each_ramp_and_none_for_two_loads(page: str) -> None:
    assert_offline(page)
    ids = Page(page).ids
    assert len(ids) == len(set(ids))
    found = page[page.index('id="ramp"') : page.index('id="words"')]
    assert found.count("<table") == 2
    first = found[: found.index("</table>")]
    assert re.findall(r'<th scope="row">(.*?)</th>', first) == ["1 stream", "5 streams", "10 streams"]
    assert 'data-title="EOS p50, ms"' in first and "answer p95, ms" in found
    assert {"costs-commit-1", "costs-file-0", "flush-file-0", "rtfx-file"} <= {
        one.removeprefix("figure-") for one in ids
    }


def test_intervals_stand_below_the_numbers(folder: Path) -> None:
    from yapbench.report.gather import gather

    first, *_ = tables.ramps(gather(folder))
    cell = first.rows[0].cells[0]
    assert re.fullmatch(r"[\d.]+–[\d.]+", cell.range)
    low, high = map(float, cell.range.split("–"))
    assert low <= float(cell.text) <= high
    assert (tables.left_out(gather(folder)), first.rows[0].n) == (0, 40)


def test_of_many_settings_some_are_shown_and_the_others_are_counted(tmp_path: Path) -> None:
    from yapbench.report.gather import gather

    for number in range(6):
        setting = {"delay_ms": 10.0 * number}
        made_up_sessions.trial(tmp_path / "s" / f"{number}0a1b2c3d4e5", levels=LEVELS, count=6, settings=setting)
    gathered = gather(tmp_path / "s")
    assert (len(tables.ramps(gathered)), tables.left_out(gathered)) == (tables.MOST, 6 - tables.MOST)


def test_the_figure_says_what_the_heaviest_load_took(tmp_path: Path) -> None:
    points = points_of(tmp_path / "a")
    figure = plots.costs_by_level(points)
    assert re.match(r"CPU s per audio s: [\d.]+ at 10 streams", figure.title)
    assert figure.key == "costs-commit-1" and "<svg" in figure.html()


def test_a_notebook_shows_the_same_rows(tmp_path: Path) -> None:
    trial = made_up_sessions.trial(tmp_path / "a", levels=LEVELS, count=12)
    text = StreamResults(trial).ramp().markup
    assert text.count("<tr>") == 1 + len(LEVELS) and "<th style='text-align:left'>EOS mean, ms</th>" in text
    assert len(devices.during(trial, LEVELS)) == 3
