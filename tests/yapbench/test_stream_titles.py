"""What the figures of words, flicker and emission are called, over several shapes of data, and that they are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench import made_up_sessions
from tests.yapbench.test_plots import check
from tests.yapbench.test_stream_findings import INVALID, near, point
from yapbench import plots, report
from yapbench.figure import Figure
from yapbench.measures import Point
from yapbench.stats import Estimate
from yapbench.streams import titles

pytestmark = pytest.mark.slow  # each page is built whole

ZERO = Estimate(0.0, 0.0, 0.0, 140)
SHOWN = {"upwr": near(0.1), "upsr": near(0.8), "normalized_erasure": near(0.15)}
SEEN = {
    "emission_p50_ms": near(80.0),
    "emission_p90_ms": near(200.0),
    "emission_stable_p50_ms": near(90.0),
    "emission_stable_p90_ms": near(260.0),
}
PARTS = {"substitutions": near(0.02), "deletions": near(0.015), "insertions": near(0.005)}


def of(client: str, level: float = 8, **values: Any) -> Point:
    given: dict[str, Any] = {**SHOWN, **SEEN, **PARTS, **values}
    return point(level, 100, setting={"client": client}, **given)


BOTH = [of(client, level) for client in ("pcm", "json") for level in (1, 8)]
FIGURES: list[Callable[[Sequence[Point]], Figure | None]] = [
    plots.wer_by_level,
    plots.word_errors,
    plots.flicker_by_level,
    plots.emission_by_level,
    plots.emission_by_setting,
]


@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("count", [1, 4, 60])
def test_every_figure_is_labelled_self_contained_and_light(
    draw: Callable[[Sequence[Point]], Figure | None], count: int
) -> None:
    points = [of(f"wire{k:02d}", level) for k in range(count) for level in (1, 8, 32)]
    drawn = draw(points)
    assert drawn is not None
    check(drawn)
    assert len(drawn.html()) < 85_000


@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f.__name__)
def test_invalid_points_are_not_drawn_as_results(draw: Callable[[Sequence[Point]], Figure | None]) -> None:
    late = [dataclasses.replace(p, validity=INVALID) for p in BOTH]
    drawn = draw(late)
    assert drawn is not None and "95 % interval" not in drawn.title
    assert not any(f"var(--s{k})" in drawn.svgs["wide"].partition("<text")[0] for k in (1, 2))


def test_a_wer_of_zero_is_drawn() -> None:
    drawn = plots.wer_by_level([of("pcm", level, wer=ZERO) for level in (1, 8)])
    assert "8 streams: WER 0.0 % (0.0–0.0)" in drawn.svgs["wide"]


def test_without_pairs_the_title_is_the_lowest_wer() -> None:
    assert titles.words_with_load([of("pcm")], []) == "WER is 4.0 % (95 % interval 3.9–4.1) at 8 streams"
    pair = [of("pcm"), of("json", wer=near(0.08))]
    assert titles.words_with_load(pair, []).endswith(" at 8 streams with pcm, the lowest of 2 settings")
    close = [of("pcm"), of("json", wer=near(0.0401))]
    assert titles.words_with_load(close, []).endswith(" with pcm, by the numbers the lowest of 2 settings")


def test_the_errors_are_told_apart() -> None:
    said = titles.error_parts([of("pcm")])
    assert said == "WER 4.0 %: 2.0 % of the words taken for others, 1.5 % left out, 0.5 % added at 8 streams"


def test_a_small_world_is_named_wherever_a_wer_is() -> None:
    tiny = [dataclasses.replace(p, setting={**p.setting, "model": "tiny"}) for p in BOTH]
    for title in (titles.words_with_load(tiny, []), titles.error_parts(tiny)):
        assert title.startswith("In tiny's small world, WER ")


def test_no_number_is_told_where_no_words_are_scored() -> None:
    missing = Estimate.missing("random weights: its words mean nothing")
    points = [of("pcm", wer=missing)]
    assert titles.words_with_load(points, []).startswith("WER: no utterance with a reference")
    for drawn in (plots.wer_by_level(points), plots.word_errors(points)):
        assert "Random weights: its words mean nothing." in drawn.svgs["wide"]


def test_low_revision_needs_the_whole_interval_below() -> None:
    erasure = {"pcm": near(0.05), "json": near(0.19, by=0.2), "msgpack": near(0.4)}
    points = [of(client, normalized_erasure=value) for client, value in erasure.items()]
    said = titles.taken_back(points)
    assert said == "Normalized erasure is under 0.2 in one of 3 settings at 8 streams: 0.05 (pcm) to 0.40 (msgpack)"
    alone = titles.taken_back(points[1:2])
    assert alone == "Normalized erasure is 0.19 (0.15–0.23) at 8 streams: not shown to be under or over 0.2"


def test_nothing_is_drawn_of_partials_that_never_were_or_never_changed() -> None:
    missing: dict[str, Any] = dict.fromkeys(SHOWN, Estimate.missing("no partials"))
    never = [of("pcm", **missing)]
    assert plots.flicker_by_level(never) is None
    nothing: dict[str, Any] = dict.fromkeys(SHOWN, ZERO)
    still = plots.flicker_by_level([of("pcm", **nothing)])
    assert still is not None
    assert still.finding == "No word that was shown was taken back"
    assert "Every partial of 140 streams only grew" in still.svgs["wide"] and "<svg" not in still.svgs["wide"]


def test_emission_is_told_of_the_soonest_setting() -> None:
    said = titles.emission([of("pcm"), of("json", emission_p50_ms=near(180.0))])
    half = "Half of the words are seen within 80.0 ms of their end, 90 % within 200 ms"
    assert said == f"{half}, at 8 streams with pcm, the soonest of 2 settings"


def test_growth_of_emission_needs_intervals_apart() -> None:
    slower = [of("pcm", 1), of("pcm", 8, emission_p50_ms=near(160.0))]
    grown = "Emission latency grows from 1 stream to 8 streams (p50 80.0 and 160 ms)"
    assert titles.emission_with_load(slower) == grown
    same = titles.emission_with_load([of("pcm", 1), of("pcm", 8)])
    assert same == "No growth of emission latency was shown from 1 stream to 8 streams (p50 80.0 and 80.0 ms)"
    assert titles.emission_with_load([of("pcm")]) == titles.emission([of("pcm")])


def test_words_seen_before_their_end_stay_below_zero() -> None:
    early: dict[str, Any] = {"emission_p50_ms": Estimate(-40.0, -50.0, -30.0, 140)}
    assert "within -40.0 ms of their end" in titles.emission([of("pcm", **early)])
    for draw in (plots.emission_by_level, plots.emission_by_setting):
        check(draw([of("pcm", level, **early) for level in (1, 8)]))


def test_the_page_begins_with_the_verdict_and_ends_with_the_clients_proof(tmp_path: Path) -> None:
    page = report.build(made_up_sessions.sweep(tmp_path / "wires", count=40, levels=(1, 8))).read_text(encoding="utf-8")
    of_manner = ("eos", "ttfp", "wer", "pareto", "ecdf-eos", "errors", "emission", "emission-settings", "flicker")
    wanted = [*(f"{key}-commit-1" for key in of_manner), "failures", "timeline", "sessions", "lateness"]
    at = [page.index(f'id="figure-{key}"') for key in wanted]
    assert at == sorted(at)
    wer = page[page.index('id="figure-wer-commit-1"') :].partition("</figure>")[0]
    assert "Echo recognises nothing: its words are scripted" in wer
