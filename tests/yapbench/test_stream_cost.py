"""What an hour of audio costs: energy and GPU time from samples, money from a price, and where a page says it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.yapbench import made_up, made_up_sessions
from tests.yapbench.test_plots import check
from tests.yapbench.test_stream_findings import near, point
from yapbench import measures as of_requests
from yapbench import plots, report, resources, store
from yapbench.monitoring.counters import Samples
from yapbench.schema import MACHINE, SCHEMA_VERSION
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.streams import cost, measures, titles
from yapbench.streams.times import Stream

pytestmark = pytest.mark.slow  # each page is built whole

S = 1_000_000_000
Gauge = Callable[[float], float]


def rows(card: str, metrics: Mapping[str, Gauge], *, start_ns: int = 0, seconds: float = 60) -> list[dict[str, Any]]:
    """Samples every 0.2 s; a metric is a function of the second."""
    return [
        {
            "schema_version": SCHEMA_VERSION,
            "at_ns": start_ns + round(k * 0.2 * S),
            "source": card,
            "metric": metric,
            "value": float(value(k * 0.2)),
        }
        for k in range(int(seconds * 5) + 1)
        for metric, value in metrics.items()
    ]


def used(*cards: list[dict[str, Any]], spans: tuple[tuple[int, int], ...] = ((10 * S, 20 * S),)) -> dict[str, Estimate]:
    frame = pd.DataFrame([row for card in cards for row in card], columns=["at_ns", "source", "metric", "value"])
    return resources.used(Samples.of(frame), pd.DataFrame({"outcome": ["ok"]}), spans)


def counter(watts: float) -> Gauge:
    return lambda second: 5e6 + 1e3 * watts * second


def test_energy_is_the_gain_of_the_cards_own_counter() -> None:
    found = used(rows("gpu0", {"energy_mj": counter(300), "power_w": lambda s: 999, "util_percent": lambda s: 40}))
    assert found["energy_wh"].value == pytest.approx(300 * 10 / 3600)
    assert [found["power_w"].value, found["gpu_percent"].value] == pytest.approx([300, 40])


def test_without_a_counter_power_is_integrated_over_the_time() -> None:
    rising = used(rows("gpu0", {"power_w": lambda s: 100 + 10 * s}))
    assert rising["energy_wh"].value == pytest.approx((100 + 10 * 15) * 10 / 3600)
    assert rising["gpu_percent"].reason == "no samples of every GPU's use cover this point"


def test_a_counter_that_fell_gives_way_to_power() -> None:
    reset = {"energy_mj": lambda s: 1e3 * (s % 15), "power_w": lambda s: 120.0}
    assert used(rows("gpu0", reset))["power_w"].value == pytest.approx(120)


def test_several_cards_and_repeats_are_added_up() -> None:
    cards = [rows(f"gpu{k}", {"energy_mj": counter(100 * (k + 1)), "util_percent": lambda s: 50}) for k in range(2)]
    found = used(*cards, spans=((10 * S, 20 * S), (30 * S, 35 * S)))
    assert found["energy_wh"].value == pytest.approx(300 * 15 / 3600)
    assert [found["power_w"].value, found["gpu_percent"].value] == pytest.approx([300, 100])


def test_what_is_not_known_has_a_reason_and_no_zero() -> None:
    assert used()["energy_wh"].reason == "no GPU was used"
    short = used(rows("gpu0", {"energy_mj": counter(300), "power_w": lambda s: 300}, seconds=15))
    silent = used(rows("gpu0", {"energy_mj": counter(300)}), rows("gpu1", {"vram_used_bytes": lambda s: 1e9}))
    for found in (short, silent):
        assert found["energy_wh"].reason == "no samples of every GPU's energy or power cover this point"
        assert found["power_w"].value is None


@settings(max_examples=25, deadline=None)
@given(st.floats(1, 700), st.floats(1, 700), st.floats(11, 40))
def test_counter_and_integral_agree(low: float, high: float, turn: float) -> None:
    def power(second: float) -> float:
        return low if second < turn else high

    counted = {"energy_mj": lambda s: 1e3 * (low * min(s, turn) + high * max(0.0, s - turn))}
    ways = [used(rows("gpu0", metrics), spans=((10 * S, 50 * S),)) for metrics in (counted, {"power_w": power})]
    assert ways[0]["energy_wh"].value == pytest.approx(ways[1]["energy_wh"].value, rel=0.15)


def test_a_price_is_divided_by_the_audio_finished_in_it() -> None:
    found = cost.per_audio_hour(2.4, Estimate(24, 20, 30, 140))
    assert [found.value, found.low, found.high] == pytest.approx([0.1, 0.08, 0.12])
    assert found.n == 140


def test_what_it_costs_is_not_known_without_a_price_or_without_audio() -> None:
    assert cost.per_audio_hour(None, near(24)).reason == "no price of an hour of this machine was given"
    assert cost.per_audio_hour(2.4, Estimate(0.0, reason="no stream ended well")).reason == "no stream ended well"
    unsure = cost.per_audio_hour(2.4, Estimate(24, 0.0, 50, 3))
    assert unsure.value == pytest.approx(0.1) and unsure.low is None and "above 0" in unsure.reason


def test_one_currency_for_all_or_none() -> None:
    dollars, euros = {"price_per_hour": 2.0, "currency": "$"}, {"price_per_hour": 2.0, "currency": "€"}
    assert cost.currency_of([dollars, dollars]) == "$"
    assert cost.currency_of([{"price_per_hour": 1}]) == "$"
    assert (cost.currency_of([dollars, euros]), cost.currency_of([dollars, {"price_per_hour": None}])) == ("", "")


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two wires with a price and a GPU of 360 W that is half busy."""
    folder = tmp_path_factory.mktemp("runs") / "priced"
    for name, client in (("aaaaaaaaaaaa", "echo_pcm"), ("bbbbbbbbbbbb", "echo_json")):
        trial = made_up_sessions.trial(folder / name, client=client, levels=(1, 8), count=40)
        store.write_json(folder / name / store.TRIAL, trial.info | {"price_per_hour": 3.0, "currency": "$"})
        seconds = (int(trial.machine["at_ns"].max()) - made_up.START_NS) / S
        card = {"energy_mj": counter(360), "power_w": lambda s: 360.0, "util_percent": lambda s: 50.0}
        stored = [{str(name): value for name, value in row.items()} for row in trial.machine.to_dict("records")]
        gpu = rows("gpu0", card, start_ns=made_up.START_NS, seconds=seconds)
        store.write_table(folder / name / store.MACHINE_FILE, [*stored, *gpu], MACHINE)
    return folder


def test_a_points_energy_and_cost_are_of_its_audio(priced: Path) -> None:
    trial = store.read_trial(priced / "aaaaaaaaaaaa")
    (base, *_), (found, *_) = of_requests.points(trial, replicates=2), measures.points(trial, replicates=50)
    mine = trial.utterances[(trial.utterances["level"] == 1) & (trial.utterances["outcome"] == "ok")]
    audio_s = sum((Stream.of(row).sent_s for row in mine.to_dict("records")), 0.0)
    span_s = sum(p["end_ns"] - p["start_ns"] for p in trial.info["points"] if p["level"] == 1) / S
    assert base["power_w"].value == pytest.approx(360)
    assert found["energy_wh_per_audio_h"].value == pytest.approx(360 * span_s / audio_s)
    assert found["gpu_s_per_audio_s"].value == pytest.approx(0.5 * span_s / audio_s)
    assert found["cost_per_audio_h"].value == pytest.approx(3.0 / (found["audio_s_per_s"].value or 0))


def test_the_page_says_what_an_hour_of_audio_costs(priced: Path) -> None:
    page = report.build(priced).read_text(encoding="utf-8")
    assert '<h2 id="cost">What an hour of audio costs</h2>' in page
    assert '<th class="num">$/audio h</th><th class="num">at 60 % of that</th>' in page
    assert "price/audio h</th>" in page and "GPU power, W</th>" in page
    assert "$ " in page.partition('aria-label="Key numbers"')[2].partition("</section>")[0]
    assert all(f'id="figure-{key}-commit-1"' in page for key in ("cost", "energy", "pareto"))
    assert "time to the final, WER and price" in page


def test_a_page_without_price_or_gpu_does_not_speak_of_cost(tmp_path: Path) -> None:
    made_up_sessions.trial(tmp_path / "s" / "aaaaaaaaaaaa", levels=(8,))
    page = report.build(tmp_path / "s").read_text(encoding="utf-8")
    assert not any(text in page for text in ('id="cost"', "figure-cost", "figure-energy", "price/audio h</th>"))


def test_the_titles_and_figures_of_cost_and_energy() -> None:
    given_: dict[str, Any] = {
        "cost_per_audio_h": near(0.12),
        "energy_wh_per_audio_h": Estimate(12.0, n=3),
        "power_w": Estimate(250.0),
    }
    points = [point(level, 100, **given_) for level in (1, 8)]
    assert titles.cost(points, 300, "$") == (
        "An hour of audio costs $ 0.12 (0.12–0.12) at 8 streams, the most within the SLO; $ 0.2 at 60 % of that"
    )
    assert titles.energy(points) == "An hour of audio takes 12 Wh of GPU energy at 8 streams, the GPUs drawing 250 W"
    for drawn in (plots.cost_by_level(points, currency="$", slo_ms=300), plots.energy_by_level(points)):
        assert drawn is not None
        check(drawn)
    assert plots.cost_by_level([point(1, 100)], currency="$") is None and plots.energy_by_level([point(1, 100)]) is None


def test_a_setting_that_never_keeps_to_the_slo_has_no_price() -> None:
    slow = [point(level, 900, cost_per_audio_h=near(0.12)) for level in (1, 8)]
    assert titles.cost(slow, 300, "$") == "Cost: no setting keeps to the SLO at any load"


def test_requests_know_their_gpus_too(tmp_path: Path) -> None:
    trial = made_up.trial(tmp_path / "aaaaaaaaaaaa", levels=(1,), requests=20)
    seconds = (int(trial.machine["at_ns"].max()) - made_up.START_NS) / S
    gpu = pd.DataFrame(rows("gpu0", {"power_w": lambda s: 200.0}, start_ns=made_up.START_NS, seconds=seconds))
    more: TrialData = dataclasses.replace(trial, machine=pd.concat([trial.machine, gpu]))
    (found,) = of_requests.points(more, replicates=2)
    assert found["power_w"].value == pytest.approx(200)
