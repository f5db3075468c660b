"""Every sentence over several shapes of data: clear, tied, failed, one level, invalid, missing axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench import captions, effects, findings
from yapbench.measures import MEASURES, Point
from yapbench.stats import Estimate
from yapbench.turns import Clip, Decisions
from yapbench.validity import Validity, Verdict

VALID = Validity(Verdict.VALID, (), 0.1, 0.5, 1.0, 0.2, 0.0, 1.0)
INVALID = dataclasses.replace(VALID, verdict=Verdict.INVALID, reasons=("client late",))


def near(value: float, *, by: float = 0.01, n: int = 130) -> Estimate:
    return Estimate(value, value * (1 - by), value * (1 + by), n)


def point(
    setting: Mapping[str, Any],
    level: float,
    rps: float | Estimate,
    p50: float | Estimate,
    *,
    p95: Estimate | None = None,
    failures: Mapping[str, int] | None = None,
    validity: Validity = VALID,
    **more: Any,
) -> Point:
    """A point with a throughput and a latency; everything else is missing."""
    values = {name: Estimate.missing("not made up") for name in MEASURES}
    values["rps"] = values["goodput_rps"] = near(rps) if isinstance(rps, float) else rps
    values["latency_p50_ms"] = near(p50) if isinstance(p50, float) else p50
    values["latency_p95_ms"] = p95 or values["latency_p50_ms"].scaled(1.2)
    values |= more.pop("values", {})
    return Point(
        trial_id="-".join(f"{k}{v}" for k, v in sorted(setting.items())),
        setting=setting,
        kind=more.pop("kind", "closed"),
        level=level,
        repeat=None,
        repeats=1,
        n=130,
        failures=failures or {},
        slo_ms=100,
        validity=validity,
        values=values,
        batch_sizes=more.pop("batch_sizes", {}),
    )


def sessions(second: float = 57.1, **more: Any) -> list[Point]:
    """One against two sessions at 1 and 8 clients."""
    return [
        point({"sessions": 1}, 1, 30.0, 33.0, **more),
        point({"sessions": 1}, 8, 31.6, 253.0, **more),
        point({"sessions": 2}, 1, 30.1, 33.1, **more),
        point({"sessions": 2}, 8, second, 8000 / second, **more),
    ]


def window(after_light: float = 36.9, after_loaded: float = 31.7) -> list[Point]:
    return [
        point({"window_ms": 0.0}, 1, 30.0, 33.0),
        point({"window_ms": 0.0}, 8, 31.6, 253.0),
        point({"window_ms": 5.0}, 1, 27.0, after_light),
        point({"window_ms": 5.0}, 8, after_loaded, 252.0),
    ]


def failed_points() -> list[Point]:
    nothing = Estimate.missing("no request was answered")
    zero = Estimate(0.0, reason="no request was answered")
    return [point({"sessions": k}, 1, zero, nothing, failures={"refused": 130}) for k in (1, 2)]


def test_the_headline_is_the_strongest_shown_finding() -> None:
    assert findings.headline(sessions()) == (
        "Two sessions serve 1.8x the requests of one at 8 clients (57.1 vs 31.6 requests/s)"
    )


def test_a_small_difference_is_said_in_percent() -> None:
    assert "Two sessions serve 13 % more requests than one at 8 clients" in findings.headline(sessions(35.8))


def test_the_better_value_is_the_subject_even_if_it_is_the_first() -> None:
    assert findings.headline(sessions(15.8)).startswith("One session serves 2.0x the requests of two at 8 clients")


def test_when_intervals_overlap_no_difference_is_shown() -> None:
    found = findings.of_settings(sessions(31.9))
    assert not any(finding.shown for finding in found)
    assert any(
        "No difference in throughput was shown between one session and two sessions at 8 clients" in finding.text
        for finding in found
    )
    assert findings.headline(sessions(31.9)) == "No setting made a difference that could be shown"


@given(st.floats(5, 200), st.floats(0.001, 0.5))
def test_no_sentence_claims_what_overlapping_intervals_do_not_show(second: float, width: float) -> None:
    points = [
        point({"sessions": 1}, 8, near(30.0, by=width), 100.0),
        point({"sessions": 2}, 8, near(second, by=width), 100.0),
    ]
    overlap = points[0]["rps"].overlaps(points[1]["rps"])
    shown = [f for f in findings.of_settings(points) if f.shown and "requests of" in f.text]
    assert not (overlap and shown)


def test_a_window_is_one_sentence_of_cost_and_gain() -> None:
    (found,) = findings.of_settings(window())
    assert found.text == (
        "A batching window of 5 ms instead of 0 ms costs 3.9 ms at 1 client (p50 36.9 vs 33.0 ms) "
        "and shows no gain in throughput at 8 clients"
    )


def test_a_window_that_buys_throughput_says_so() -> None:
    (found,) = findings.of_settings(window(after_light=33.1, after_loaded=41.0))
    assert found.text.endswith(
        "shows no cost at 1 client and buys 30 % throughput at 8 clients (41.0 vs 31.6 requests/s)"
    )


def test_a_window_without_any_effect_is_not_shown() -> None:
    (found,) = findings.of_settings(window(after_light=33.1))
    assert not found.shown
    assert found.text.endswith("made no difference that could be shown")


def test_an_effect_that_holds_only_with_another_setting_names_it() -> None:
    def grid(window_ms: float, buckets: str, p50: float) -> Point:
        return point({"window_ms": window_ms, "batch_buckets": buckets}, 1, 1000 / p50, p50)

    points = [grid(0.0, "1", 33.0), grid(5.0, "1", 33.1), grid(0.0, "1,4", 33.0), grid(5.0, "1,4", 38.0)]
    texts = [finding.text for finding in findings.of_settings(points) if finding.shown]
    assert any(
        text.startswith("With buckets 1,4, a batching window of 5 ms instead of 0 ms costs 5.0 ms") for text in texts
    )


def test_matched_pairs_leave_other_settings_out_of_the_comparison() -> None:
    points = [point({"sessions": s, "threads": t}, 8, 30.0 * s * t, 100.0) for s in (1, 2) for t in (1, 2)]
    effect = effects.of_axis(points, "sessions", 8, "rps")
    assert effect is not None
    assert effect.ratio.value == pytest.approx(2)
    assert (effect.ratio.n, effect.shown) == (2, True)
    assert "mean of 2 matched pairs" in findings.headline(points)


def test_one_level_is_enough_for_a_finding() -> None:
    assert "at 8 clients" in findings.headline([p for p in sessions() if p.level == 8])


def test_without_a_varying_setting_the_headline_is_about_the_load() -> None:
    points = [p for p in sessions() if p.setting["sessions"] == 2]
    assert findings.of_settings(points) == []
    assert findings.headline(points) == "Throughput at 8 clients is 1.9x that at 1 client"


def test_invalid_points_take_no_part() -> None:
    points = [dataclasses.replace(p, validity=INVALID) if p["rps"].value == 57.1 else p for p in sessions()]
    assert findings.headline(points) == "No setting made a difference that could be shown"


def test_when_every_point_is_invalid_the_headline_says_so() -> None:
    assert findings.headline(sessions(validity=INVALID)).startswith("No point is valid")


def test_when_everything_failed_the_headline_says_so() -> None:
    assert findings.headline(failed_points()) == "No request was answered"
    assert findings.headline([], failed=3) == "All 3 trials failed"
    assert findings.headline([]) == "Nothing was measured"


def test_indicative_tails_take_no_part() -> None:
    points = [dataclasses.replace(p) for p in sessions()]
    few = [point(p.setting, p.level, 30.0, 33.0, p95=Estimate(40, 39, 41, 50, indicative=True)) for p in points]
    assert captions.latency(few, 100).startswith("Half of the answers")


def test_open_load_is_said_in_requests_per_second() -> None:
    points = [point({"sessions": k}, 50, 30.0 * k, 40.0, kind="poisson") for k in (1, 2)]
    assert "at 50 requests/s" in findings.headline(points)


def test_up_to_which_load_the_target_is_kept() -> None:
    text = captions.latency(sessions(), 160)
    assert text == "95 % of the answers come within 160 ms up to 1 client with 1 session"
    assert captions.latency(sessions(), 300) == "95 % of the answers come within 300 ms up to 8 clients with 2 sessions"
    assert captions.latency(sessions(), 10) == "No setting keeps 95 % of the answers within 10 ms, even at 1 client"


def test_a_target_missed_at_a_lighter_load_is_not_kept_at_a_heavier_one() -> None:
    points = [point({"sessions": 1}, 1, 5.0, 200.0), point({"sessions": 1}, 8, 50.0, 20.0)]
    assert captions.latency(points, 100).startswith("No setting keeps")


def test_throughput_says_from_where_on_nothing_is_gained() -> None:
    points = [point({"sessions": 1}, level, rps, 30.0) for level, rps in ((1, 30.0), (4, 60.0), (8, 60.1))]
    assert captions.throughput(points) == (
        "Throughput at 8 clients is 2.0x that at 1 client; no gain was shown beyond 4 clients"
    )


def test_throughput_that_grows_with_one_value_only_says_with_which() -> None:
    flat = [point({"sessions": 1}, level, 30.0, 30.0) for level in (1, 8)]
    grown = [point({"sessions": 2}, level, rps, 30.0) for level, rps in ((1, 30.0), (8, 60.0))]
    assert captions.throughput([*flat, *grown]) == "With two sessions, throughput at 8 clients is 2.0x that at 1 client"


def test_throughput_that_does_not_grow() -> None:
    points = [point({"sessions": 1}, level, 30.0, 30.0) for level in (1, 8)]
    assert captions.throughput(points) == "No gain in throughput was shown from 1 client to 8 clients"
    assert captions.throughput(points[:1]) == "30.0 requests/s at 1 client"
    assert captions.throughput([]) == "Throughput: nothing was answered at a valid point"


def test_settings_that_cannot_be_told_apart_tie() -> None:
    assert captions.best_setting(sessions()).startswith("2 sessions: the lowest p50 at 8 clients")
    assert captions.best_setting(sessions(31.7)).startswith("Two of 2 settings tie for the lowest p50 at 8 clients")
    assert captions.best_setting([]) == "No valid point to compare settings with"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([{1: 130}, {1: 130}], "No request shared a batch at 8 clients"),
        ([{1: 130}, {4: 130}], "At 8 clients up to 100 % of the requests shared a batch; none in 1 of 2 settings"),
        ([{1: 65, 2: 65}, {4: 130}], "At 8 clients 50 to 100 % of the requests shared a batch"),
        ([{1: 65, 2: 65}], "At 8 clients 50 % of the requests shared a batch"),
        ([{}], "Batch sizes: the server's answers do not say"),
    ],
)
def test_batches(sizes: list[dict[int, int]], text: str) -> None:
    points = [point({"sessions": k}, 8, 30.0, 30.0, batch_sizes=each) for k, each in enumerate(sizes)]
    assert captions.batches(points) == text


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ([(10.0, 30.0)], "At 8 clients requests wait less than they compute"),
        ([(10.0, 30.0), (5.0, 30.0)], "At 8 clients requests wait less than they compute in every setting"),
        ([(60.0, 30.0)], "At 8 clients a request waits 2.0 times as long as it computes"),
        ([(60.0, 30.0), (10.0, 30.0)], "At 8 clients a request waits up to 2.0 times as long as it computes"),
        ([], "Queue wait: the server's answers do not say"),
    ],
)
def test_queueing(times: list[tuple[float, float]], text: str) -> None:
    points = [
        point({"sessions": k}, 8, 30.0, 30.0, values={"queue_ms": near(queue), "inference_ms": near(model)})
        for k, (queue, model) in enumerate(times)
    ]
    assert captions.queueing(points) == text


def decided(wrong: int = 1, flips: int = 0, difference: float = 0.0) -> Decisions:
    clips = tuple(
        Clip(f"c{k}", "complete", 0.9, 0.9, 0.9, 10, flips if k == 0 else 0, right=k >= wrong) for k in range(10)
    )
    return Decisions(clips, 0.5, near(1 - wrong / 10), near(0.9), 100, flips, difference)


def test_decisions_in_words() -> None:
    assert captions.decisions(decided(), 8) == "9 of 10 turns decided right, with the same probability in every setting"
    assert captions.decisions(decided(flips=3), 8) == "9 of 10 turns decided right; 3 of 100 answers flipped"
    assert "moved by up to 0.001, no decision flipped" in captions.decisions(decided(difference=0.001), 8)
    nothing = Estimate.missing("no labelled clip was answered")
    empty = Decisions((), 0.5, nothing, nothing, 0, 0, None)
    assert captions.decisions(empty, 0) == "Turn decisions: no labelled clip was answered"


def test_resources_in_words() -> None:
    values = {"cpu_percent": Estimate(190.0), "rss_peak_mib": Estimate(312.4)}
    assert (
        captions.resources([point({}, 1, 1.0, 1.0, values=values)])
        == "The server used up to 1.9 cores over a load level, and 312 MiB"
    )
    assert captions.resources(sessions()) == "CPU and memory: no samples of the server's processes"


def test_four_numbers_with_their_intervals_and_where_they_hold() -> None:
    latency, most, good, right = captions.numbers(sessions(), {"v3-onnx": decided()}, 100)
    assert (latency.value, latency.interval, latency.note) == ("33.0", "32.7–33.3", "1 client · 1 session")
    assert (most.value, most.note) == ("57.1", "8 clients · 2 sessions")
    assert good.label == "most within 100 ms"
    assert right.value == "90.0"


def test_a_number_that_is_not_there_is_none_with_a_reason() -> None:
    found = captions.numbers(failed_points(), {"v3-onnx": decided()}, 100)
    assert [number.value for number in found[:3]] == [None, None, None]
    assert all(number.note for number in found)


def engines() -> list[Point]:
    """Two models, of which one has dtypes: v3 serves 60, tiny 90 in float32 and 120 in bfloat16."""
    found = []
    for model, dtype, rps in (("v3-onnx", "int8", 60.0), ("tiny", "float32", 90.0), ("tiny", "bfloat16", 120.0)):
        for window in (0, 5):
            setting = {"model": model, "dtype": dtype, "engine": f"{model} {dtype}", "window_ms": window}
            found += [point(setting, level, rps + window, 1000 / rps) for level in (1, 8)]
    return found


def test_models_are_compared_as_engines_and_dtypes_within_their_model() -> None:
    texts = [finding.text for finding in findings.of_settings(engines())]

    assert any(text.startswith("Tiny bfloat16 serves 2.0x the requests of v3-onnx int8") for text in texts)
    assert any(text.startswith("Bfloat16 serves 32 % more requests than float32") for text in texts)
    assert not any("int8" in text and text.startswith("Float32") for text in texts)


def test_the_engines_in_one_title() -> None:
    title = captions.engines(engines())

    assert title == "Tiny bfloat16 serves 1.3x the requests of tiny float32 at 8 clients (125.0 vs 95.0 requests/s)"
    assert captions.engines([]) == "Engines: too little was answered to compare them"


def test_the_model_that_decides_best_is_named_among_several() -> None:
    worse = dataclasses.replace(decided(), accuracy=near(0.6))
    right = captions.numbers(engines(), {"v2": worse, "v3-onnx": decided()}, 100)[3]

    assert (right.value, right.note.partition(" · ")[0]) == ("90.0", "v3-onnx")


def test_what_a_stand_in_decides_is_no_headline() -> None:
    worse = dataclasses.replace(decided(), accuracy=near(0.6))
    beside = captions.numbers(engines(), {"tiny": decided(), "v3-onnx": worse}, 100)[3]
    alone = captions.numbers(engines(), {"tiny": decided()}, 100)[3]

    assert (beside.value, beside.note.partition(" · ")[0]) == ("60.0", "v3-onnx")
    assert (alone.value, alone.note) == (None, "only tiny was measured, a stand-in")


@pytest.mark.parametrize(
    ("served", "title"),
    [
        ((10.0, 20.0), "All 20 requests/s offered are answered"),
        ((10.0, 14.2), "All 10 requests/s offered are answered; of 20 requests/s offered 14.2 are answered"),
        ((5.0, 6.0), "Of 20 requests/s offered 6.0 are answered"),
    ],
)
def test_arrivals_that_do_not_wait_are_held_against_what_was_offered(served: tuple[float, float], title: str) -> None:
    points = [point({}, level, rps, 30.0, kind="poisson") for level, rps in zip((10, 20), served, strict=True)]

    assert captions.throughput(points) == title
