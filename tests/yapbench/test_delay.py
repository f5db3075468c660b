"""Times against the delay: which points make a curve, what is said and drawn of them, and where on the page."""

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
from yapbench.obtained import setting_of
from yapbench.stats import Estimate
from yapbench.streams import delay, findings, look_ahead, work

DELAYS = (80, 240, 480, 960)
NO_WER = Estimate.missing("random weights: its words mean nothing")


def mark(delay_ms: int, level: float = 4, *, setting: Mapping[str, Any] | None = None, **values: Any) -> Point:
    own = {"transcription_delay_ms": delay_ms, "model": "stt"} | dict(setting or {})
    given: dict[str, Any] = {"p50": 100 + delay_ms / 8, "wer": near(0.08 - delay_ms / 20_000)} | values
    given.setdefault("ttfp_p50_ms", near(300.0 + delay_ms))
    return point(level, given.pop("p50"), setting=own, **given)


ALL = [mark(delay_ms, level) for delay_ms in DELAYS for level in (1, 4)]


def drawn(points: list[Point]) -> Figure:
    found = plots.times_by_delay(points, slo_ms=300)
    assert found is not None
    return found


def test_there_is_a_curve_for_each_load_and_it_ascends() -> None:
    assert [(curve.name, curve.delays_ms) for curve in delay.curves(ALL[::-1])] == [
        ("1 stream", list(map(float, DELAYS))),
        ("4 streams", list(map(float, DELAYS))),
    ]


def test_of_the_rest_the_setting_that_answers_soonest_is_taken() -> None:
    slower = [mark(delay_ms, setting={"vllm_max_num_seqs": 16}, p50=900) for delay_ms in DELAYS]
    faster = [mark(delay_ms, setting={"vllm_max_num_seqs": 128}) for delay_ms in DELAYS]
    (curve,) = delay.curves([*slower, *faster])
    assert {one.setting["vllm_max_num_seqs"] for one in curve.points} == {128}


def test_what_is_invalid_or_stands_alone_makes_no_curve() -> None:
    assert delay.curves([mark(80), mark(480, validity=INVALID)]) == []
    assert delay.curves([mark(80, level) for level in (1, 4)]) == []
    assert plots.times_by_delay([mark(80), mark(80, 1)]) is None


def test_what_changes_the_words_is_a_curve_of_its_own() -> None:
    noisy = [mark(delay_ms, setting={"snr_db": 10}) for delay_ms in DELAYS]
    clean = [mark(delay_ms, setting={"snr_db": "clean"}) for delay_ms in DELAYS]
    assert [curve.name for curve in delay.curves([*noisy, *clean])] == ["4 streams · SNR 10 dB", "4 streams · no noise"]


def test_the_delay_is_a_trade_that_is_said_first_and_by_its_own_name() -> None:
    first, *others = findings.of_streams(ALL)
    assert first.text.startswith("Delay at 4 streams: 80 ms gives WER 7.6 % (7.4–7.8), first words after 380 ms")
    assert first.shown and not any("sooner" in one.text or "Look-ahead" in one.text for one in others)


def test_delays_are_not_unequal_work_but_other_settings_are() -> None:
    rates = [mark(delay_ms, partial_rate=near(2 + delay_ms / 480)) for delay_ms in (80, 960)]
    assert work.unequal(rates) is None
    same = [mark(80, setting={"client": name}, partial_rate=near(rate)) for name, rate in (("a", 2.0), ("b", 4.0))]
    assert work.unequal(same) is not None


def test_the_figure_is_labelled_self_contained_and_has_a_line_for_each_load() -> None:
    figure = drawn(ALL)
    check(figure)
    assert figure.title == (
        "Delay 960 ms instead of 80 ms: WER 3.2 instead of 7.6 %, first words after 1260 instead of 380 ms, "
        "finals after 220 instead of 110 ms at 4 streams · end of speech: commit by the client"
    )
    assert all(figure.svgs[size].count(f">{ms}<") >= 2 for size in ("wide", "phone") for ms in DELAYS)
    assert figure.svgs["wide"].count('class="tip"') == 2 * len(ALL)
    assert "target 300 ms" in figure.svgs["wide"] and "before which no word can be seen" in figure.note


def test_without_a_wer_times_are_drawn_and_no_empty_chart_stands_beside() -> None:
    random = [mark(delay_ms, wer=NO_WER, setting={"model": "random"}) for delay_ms in DELAYS]
    assert "WER" not in drawn(random).title
    assert plots.look_ahead_trade(random) is None
    (finding,) = look_ahead.findings(random)
    assert "WER" not in finding.text and "finals after 110 ms" in finding.text


def test_words_against_times_are_the_figure_that_look_ahead_has() -> None:
    figure = plots.look_ahead_trade(ALL, slo_ms=500)
    assert figure is not None and figure.key == "delay-wer-commit-1"
    assert "each delay gives half of its finals" in figure.note and "look-ahead" not in figure.note


def test_other_policies_and_paces_are_left_out() -> None:
    fast = [dataclasses.replace(p, setting={**p.setting, "pace": 10.0}) for p in ALL]
    assert plots.times_by_delay(fast) is None
    assert drawn([*ALL, *fast]).html() == drawn(ALL).html()


def test_a_delay_that_nobody_asked_for_is_the_one_that_the_server_has() -> None:
    asked = {"settings": {"transcription_delay_ms": None}}
    said = {"settings": {"transcription_delay_ms": 400}}
    assert setting_of(asked | {"obtained": said}) == {"transcription_delay_ms": 400}
    assert setting_of(asked | {"obtained": said | {"transcription_delay_ms": 480}}) == {"transcription_delay_ms": 480}


@pytest.mark.slow
def test_the_page_has_the_delay_on_an_axis_and_in_its_tables(tmp_path: Path) -> None:
    folder = made_up_sessions.delays(tmp_path / "s", count=40, levels=(1, 4))
    page = report.build(folder).read_text(encoding="utf-8")
    charts = page[page.index('<section class="charts">') :]
    at = [charts.index(f'id="figure-{key}-commit-1"') for key in ("eos", "delay", "delay-wer", "ecdf-eos")]
    assert at == sorted(at)
    assert "<th data-key>delay, ms</th>" in page and "Delay 960 ms instead of 80 ms" in page
