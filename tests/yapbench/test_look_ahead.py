"""The trade that look-ahead is: which marks are compared, at which load, and what is said and drawn of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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
from yapbench.streams import findings, look_ahead

pytestmark = pytest.mark.slow  # each page is built whole

COST = {0: (100.0, 0.08), 80: (110.0, 0.05), 1040: (200.0, 0.02)}
"""By look-ahead: EOS p50 in ms, WER."""


def mark(ahead_ms: int, level: float = 8, *, setting: Mapping[str, Any] | None = None, **values: Any) -> Point:
    eos_ms, wer = COST[ahead_ms]
    own = {"look_ahead_ms": ahead_ms, "model": "stt", "decoder": "rnnt"} | dict(setting or {})
    given: dict[str, Any] = {"p50": eos_ms, "wer": near(wer), "ttfp_p50_ms": near(300.0 + ahead_ms)} | values
    return point(level, given.pop("p50"), setting=own, **given)


ALL = [mark(ahead_ms, level) for ahead_ms in COST for level in (1, 8)]


def said(points: list[Point]) -> list[str]:
    return [finding.text for finding in look_ahead.findings(points)]


def drawn(points: list[Point]) -> Figure:
    found = plots.look_ahead_trade(points, slo_ms=300)
    assert found is not None
    return found


def test_each_look_ahead_is_said_with_its_intervals_and_comes_first() -> None:
    found = findings.of_streams(ALL)
    assert found[0].shown
    assert found[0].text == (
        "Look-ahead at 8 streams: "
        "0 ms gives WER 8.0 % (7.8–8.2), first words after 300 ms (294–306), finals after 100 ms (98.0–102); "
        "80 ms gives WER 5.0 % (4.9–5.1), first words after 380 ms (372–388), finals after 110 ms (108–112); "
        "1040 ms gives WER 2.0 % (2.0–2.0), first words after 1340 ms (1313–1367), finals after 200 ms (196–204)"
    )


def test_the_figure_is_named_for_what_the_longest_does_instead_of_the_shortest() -> None:
    assert drawn(ALL).title == (
        "Look-ahead 1040 ms instead of 0 ms: WER 2.0 instead of 8.0 %, first words after 1340 instead of 300 ms, "
        "finals after 200 instead of 100 ms at 8 streams · end of speech: commit by the client"
    )


def test_what_overlaps_or_comes_from_a_few_utterances_is_no_difference() -> None:
    close = [mark(0), mark(1040, wer=near(0.0795))]
    assert "WER 8.0 and 8.0 % (no difference shown)" in drawn(close).title
    few = [mark(0, wer=near(0.1, n=29)), mark(1040, wer=Estimate(0.0, 0.0, 0.0, 29))]
    assert "WER 0.0 and 10.0 % (no difference shown)" in drawn(few).title


def test_nothing_is_said_where_no_look_ahead_varies() -> None:
    for points in ([mark(80, level) for level in (1, 8)], [point(1, 100), point(8, 150)], []):
        assert said(points) == []
        assert plots.look_ahead_trade(points) is None


def test_the_load_is_the_heaviest_that_each_look_ahead_carries() -> None:
    slow = [mark(ahead_ms, 32, p50=280.0 + ahead_ms) for ahead_ms in COST]
    (trade,) = look_ahead.trades([*ALL, *slow])
    assert trade.level == 8
    (trade,) = look_ahead.trades([mark(ahead_ms, level, p50=900) for ahead_ms in COST for level in (4, 8)])
    assert trade.level == 4
    assert "At 4 streams, the lightest load." in drawn([mark(a, level, p50=900) for a in COST for level in (4, 8)]).note


def test_a_load_that_one_look_ahead_lacks_is_not_compared() -> None:
    alone = mark(80, 32)
    failed = [mark(0, 32, validity=INVALID), mark(1040, 32)]
    (trade,) = look_ahead.trades([*ALL, alone, *failed])
    assert [one.point.level for one in trade.marks] == [8, 8, 8]


def test_a_look_ahead_without_a_valid_point_is_left_out_and_named() -> None:
    late = mark(1040, validity=INVALID)
    figure = drawn([mark(0), mark(80), late])
    assert figure.title.startswith("Look-ahead 80 ms instead of 0 ms")
    assert figure.note.endswith("Without a valid point there: 1040 ms.")
    assert "Without a valid point" not in drawn(ALL).note


def test_of_the_rest_the_setting_that_answers_soonest_is_taken() -> None:
    slower = [mark(ahead_ms, setting={"step_ms": 80.0}, p50=250) for ahead_ms in COST]
    faster = [mark(ahead_ms, setting={"step_ms": 20.0}) for ahead_ms in COST]
    (trade,) = look_ahead.trades([*slower, *faster])
    assert {one.point.setting["step_ms"] for one in trade.marks} == {20.0}


def test_what_changes_the_words_is_a_trade_of_its_own() -> None:
    ctc = [mark(ahead_ms, setting={"decoder": "ctc"}, wer=near(0.2)) for ahead_ms in (80, 1040)]
    texts = said([*ALL, *ctc])
    assert [text.partition(":")[0] for text in texts] == [
        "Look-ahead with rnnt at 8 streams",  # it has more of them
        "Look-ahead with ctc at 8 streams",
    ]
    figure = drawn([*ALL, *ctc])
    assert "with rnnt" in figure.title
    assert ">ctc<" in figure.svgs["wide"] and ">rnnt<" in figure.svgs["phone"]


def test_no_sentence_compares_the_times_of_two_look_aheads_again() -> None:
    assert not any("sooner" in finding.text or "not compared" in finding.text for finding in findings.of_streams(ALL))


def test_a_small_world_is_named_before_its_numbers() -> None:
    tiny = [dataclasses.replace(p, setting={**p.setting, "model": "tiny"}) for p in ALL]
    assert all(text.startswith("In tiny's small world, look-ahead at 8 streams: ") for text in said(tiny))
    assert drawn(tiny).title.startswith("In tiny's small world, look-ahead 1040 ms")


def test_without_a_wer_times_are_still_said_and_the_figure_says_why() -> None:
    missing = Estimate.missing("random weights: its words mean nothing")
    random = [mark(ahead_ms, wer=missing, setting={"model": "random"}) for ahead_ms in COST]
    assert "WER" not in said(random)[0] and "finals after 200 ms" in said(random)[0]
    assert "No WER: random weights: its words mean nothing." in drawn(random).svgs["wide"]


def test_the_figure_is_labelled_self_contained_and_has_each_mark_in_both_panels() -> None:
    figure = drawn(ALL)
    check(figure)
    for size in ("wide", "phone"):
        assert all(figure.svgs[size].count(f">{ahead_ms} ms<") == 2 for ahead_ms in COST)
    assert figure.svgs["wide"].count('class="tip"') == 6
    assert "Hollow: p95 of the finals." in figure.note


def test_indicative_tails_are_not_drawn() -> None:
    few = [mark(ahead_ms, p95=near(300, indicative=True)) for ahead_ms in COST]
    assert "Hollow" not in drawn(few).note


def test_other_policies_and_paces_are_left_out() -> None:
    fast = [dataclasses.replace(p, setting={**p.setting, "pace": 10.0}) for p in ALL]
    assert plots.look_ahead_trade(fast) is None
    assert drawn([*ALL, *fast]).html() == drawn(ALL).html()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = made_up_sessions.look_aheads(tmp_path_factory.mktemp("runs") / "s", model="tiny", count=40, levels=(1, 8))
    return report.build(folder).read_text(encoding="utf-8")


def test_the_trade_stands_behind_the_verdict_and_before_the_detail(page: str) -> None:
    charts = page[page.index('<section class="charts">') :]
    at = [charts.index(f'id="figure-{key}-commit-1"') for key in ("eos", "wer", "look-ahead", "ecdf-eos")]
    assert at == sorted(at)


def test_the_page_says_what_was_measured(page: str) -> None:
    head = page.partition("</header>")[0]
    assert "Tiny is a small test checkpoint that knows a small world" in head
    assert "WER, tiny&#39;s small world" in page
    assert "look-ahead 1040 ms" in page


def test_a_look_ahead_asked_for_by_its_context_is_the_same_axis(page: str) -> None:
    assert "<th data-key>look-ahead, ms</th>" in page  # the made-up trials asked for att_ctx
    assert "left context" not in page.partition("<dt>Asked</dt>")[0]  # what was asked is told as it was asked


def test_random_weights_have_no_wer_anywhere(tmp_path: Path) -> None:
    folder = made_up_sessions.look_aheads(tmp_path / "s", model="random", count=12, levels=(1,))
    text = report.build(folder).read_text(encoding="utf-8")
    assert 'id="words"' not in text
    assert "its words mean nothing and are not scored" in text.partition("</header>")[0]
    assert "random weights: its words mean nothing" in text
