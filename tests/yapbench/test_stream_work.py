"""Equal work: which settings sent different amounts of partials, and where a reader is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.yapbench import made_up_sessions
from tests.yapbench.test_stream_findings import INVALID, near, point
from yapbench import report
from yapbench.stats import Estimate
from yapbench.streams import findings, work


def test_the_pair_that_is_furthest_apart_is_told() -> None:
    rates = {"pcm": 12.1, "json": 9.8, "msgpack": 11.9}
    points = [point(8, 100, setting={"client": name}, partial_rate=near(rate)) for name, rate in rates.items()]
    found = work.unequal(points)
    assert found is not None
    assert found.badge == "not equal work: 12.1 and 9.8 partials/s"
    assert found.note == "Not equal work: 12.1 and 9.8 partials/s at 8 streams."
    assert found.finding.text == (
        "Not equal work at 8 streams: pcm sends 12.1 (11.9–12.3) partials per second of speech, json sends 9.8 "
        "(9.6–10.0); who sends fewer can look faster than it is"
    )


def test_the_finding_stands_before_all_others() -> None:
    slow, fast = ("pcm", 12.0, 300), ("json", 6.0, 100)
    points = [
        point(level, p50, setting={"client": name}, partial_rate=near(rate))
        for name, rate, p50 in (slow, fast)
        for level in (1, 8)
    ]
    said = findings.of_streams(points)
    assert said[0].text.startswith("Not equal work at ") and said[0].shown


def test_a_tenth_is_still_equal_and_so_is_what_may_be_chance() -> None:
    close = [point(8, 100, setting={"client": n}, partial_rate=near(r)) for n, r in (("pcm", 10.0), ("json", 9.01))]
    assert work.unequal(close) is None
    chance = [point(8, 100, setting={"client": n}, partial_rate=near(r, by=0.4)) for n, r in (("pcm", 10), ("json", 7))]
    assert work.unequal(chance) is None


def test_another_load_another_look_ahead_and_invalid_points_are_not_held_against_each_other() -> None:
    one = point(8, 100, setting={"client": "pcm", "look_ahead_ms": 80}, partial_rate=near(12.0))
    other_load = point(1, 100, setting={"client": "json", "look_ahead_ms": 80}, partial_rate=near(6.0))
    other_ahead = point(8, 100, setting={"client": "json", "look_ahead_ms": 1040}, partial_rate=near(1.0))
    late = point(8, 100, setting={"client": "json", "look_ahead_ms": 80}, partial_rate=near(6.0), validity=INVALID)
    unknown = point(8, 100, setting={"client": "x", "look_ahead_ms": 80}, partial_rate=Estimate.missing("no stream"))
    assert work.unequal([one, other_load, other_ahead, late, unknown]) is None


@pytest.mark.slow
def test_the_page_warns_at_its_head_and_below_the_figures_of_times(tmp_path: Path) -> None:
    folder = tmp_path / "wires"
    made_up_sessions.trial(folder / "aaaaaaaaaaaa", client="echo_pcm", partials=4, levels=(8,))
    made_up_sessions.trial(folder / "bbbbbbbbbbbb", client="echo_json", partials=2, levels=(8,))
    page = report.build(folder).read_text(encoding="utf-8")
    assert '<span class="badge">not equal work: ' in page.partition("<h1>")[0]
    for key in ("eos", "ttfp", "pareto", "ecdf-eos", "emission-settings"):
        assert "Not equal work: " in page[page.index(f'id="figure-{key}-commit-1"') :].partition("</figure>")[0], key
    assert "Not equal work: " not in page[page.index('id="figure-wer-commit-1"') :].partition("</figure>")[0]
