"""The front of time to the final x WER x cost: who stands on it, who is beaten, and what is said and drawn of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.yapbench.test_plots import check
from tests.yapbench.test_stream_findings import INVALID, near, point
from yapbench import plots
from yapbench.measures import Point
from yapbench.stats import Estimate
from yapbench.streams import pareto
from yapbench.streams.pareto import Front, Standing

CPU = "cpu_s_per_audio_s"


def mark(name: str, eos: float, wer: float, cpu: float = 0.02, *, by: float = 0.02, **more: Any) -> Point:
    """A setting at its only load; its intervals are `by` wide to each side, that of its CPU time is not known."""
    known = {"p95": near(eos, by=by), "wer": near(wer, by=by), CPU: Estimate(cpu, n=140)}
    setting = {"client": name, **more.pop("setting", {})}
    return point(more.pop("level", 8), eos / 1.5, setting=setting, **known | more.pop("given", {}) | more)


def front(*points: Point, slo_ms: float = 300, currency: str = "") -> Front:
    found = pareto.front(points, slo_ms, currency=currency)
    assert found is not None
    return found


def standings(found: Front) -> dict[str, str]:
    return {mark.name: str(mark.standing) for mark in found.marks}


def test_what_is_shown_to_be_worse_is_beaten() -> None:
    found = front(mark("quick", 100, 0.08), mark("right", 200, 0.02), mark("neither", 210, 0.08))
    assert standings(found) == {"quick": "front", "right": "front", "neither": "beaten"}


def test_what_is_worse_by_overlapping_intervals_alone_is_open() -> None:
    found = front(mark("a", 100, 0.040, by=0.3), mark("b", 101, 0.041, by=0.3))
    assert standings(found) == {"a": "front", "b": "open"}


def test_a_lower_cost_without_an_interval_keeps_a_setting_on_the_front_but_shows_nothing() -> None:
    assert standings(front(mark("a", 100, 0.04, 0.02), mark("b", 200, 0.08, 0.01))) == {"a": "front", "b": "front"}
    assert standings(front(mark("a", 100, 0.04, 0.01), mark("b", 100, 0.04, 0.02))) == {"a": "front", "b": "open"}


def test_equal_settings_do_not_beat_each_other() -> None:
    assert set(standings(front(mark("a", 100, 0.04), mark("b", 100, 0.04))).values()) == {"front"}


def test_word_errors_of_a_few_utterances_show_nothing() -> None:
    few = mark("b", 100, 0.2, given={"wer": near(0.2, n=29)})
    assert standings(front(mark("a", 100, 0.04), few)) == {"a": "front", "b": "open"}


values = st.tuples(st.integers(50, 60), st.integers(1, 5), st.integers(1, 5))


@settings(max_examples=100, deadline=None)
@given(st.lists(values, min_size=2, max_size=8), st.sampled_from([0.01, 0.2]))
def test_the_front_is_never_empty_and_beats_all_others(given_: list[tuple[int, int, int]], by: float) -> None:
    found = front(*(mark(f"s{k}", e, w / 100, c / 100, by=by) for k, (e, w, c) in enumerate(given_)))

    def beats(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    of = {f"s{k}": each for k, each in enumerate(given_)}
    best = [of[m.name] for m in found.of(Standing.FRONT)]
    assert best
    assert not any(beats(one, other) for one in given_ for other in best)
    assert all(any(beats(one, of[m.name]) for one in best) for m in found.marks if m.standing is not Standing.FRONT)


def test_each_setting_is_taken_at_its_heaviest_load_within_the_slo() -> None:
    a = [mark("a", 100 * level, 0.04, level=level) for level in (1, 2, 4)]
    b = [mark("b", 150, 0.04, level=1), mark("b", 400, 0.04, level=2), mark("b", 100, 0.04, level=4)]
    found = front(*a, *b)
    assert {m.name: m.point.level for m in found.marks} == {"a": 2, "b": 1}


def test_settings_without_a_place_are_named_with_their_reason() -> None:
    slow, late = mark("slow", 900, 0.01), mark("late", 100, 0.01, validity=INVALID)
    silent = mark("silent", 100, 0, given={"wer": Estimate.missing("no utterance with a reference")})
    found = front(mark("a", 100, 0.04), mark("b", 110, 0.02), slow, late, silent)
    assert set(standings(found)) == {"a", "b"}
    assert found.left_out == (
        "late (keeps to the SLO at no load)",
        "silent (no utterance with a reference)",
        "slow (keeps to the SLO at no load)",
    )


def test_indicative_tails_are_replaced_by_p50() -> None:
    tails = [mark(name, 100, 0.04, p95=near(100, indicative=True)) for name in ("a", "b")]
    assert (front(*tails).measure, front(mark("a", 1, 0.1), mark("b", 1, 0.1)).measure) == ("eos_p50_ms", "eos_p95_ms")


def test_random_weights_have_no_words_to_be_judged_by() -> None:
    missing = Estimate.missing("random weights: its words mean nothing")
    found = front(*(mark(n, 100, 0, given={"wer": missing}, setting={"model": "random"}) for n in ("a", "b")))
    assert not found.scored and found.dimensions == "time to the final and CPU time"


def test_the_cost_is_the_first_that_all_of_them_know() -> None:
    gpu = {"gpu_s_per_audio_s": near(0.01)}
    pair = [mark(name, 100, 0.04, given=gpu | {"cost_per_audio_h": near(0.12)}) for name in ("a", "b")]
    assert pareto.cost_of(pair, "$").axis == "$ per hour of audio"
    assert pareto.cost_of(pair).name == "GPU time"
    assert pareto.cost_of([mark("a", 100, 0.04), mark("b", 100, 0.04)], "$").name == "CPU time"
    mixed = pareto.cost_of([mark("a", 100, 0.04, given=gpu), mark("b", 100, 0.04, level=4)])
    assert (mixed.name, mixed.of(mark("b", 100, 0.04, level=4)).value) == ("machines", 0.25)


def test_the_caption_names_the_front() -> None:
    said = pareto.caption(front(mark("quick", 100, 0.08), mark("right", 200, 0.02), mark("neither", 210, 0.08)))
    assert said == "No other setting beats quick and right in time to the final, WER and CPU time"
    many = [mark(f"s{k}", 100 + 10 * k, 0.09 - 0.01 * k) for k in range(5)]
    assert pareto.caption(front(*many)) == "No setting beats another one in time to the final, WER and CPU time"
    worse = pareto.caption(front(*many, mark("worse", 200, 0.2)))
    assert worse == "Five of 6 settings are beaten by no other in time to the final, WER and CPU time"


def test_a_model_of_a_small_world_is_said_to_be_one() -> None:
    said = pareto.caption(front(*(mark(n, 100, 0.04, setting={"model": "tiny"}) for n in ("a", "b"))))
    assert said.startswith("In tiny's small world, no ")


def test_there_is_no_front_of_one_setting_nor_of_none_within_the_slo() -> None:
    assert plots.pareto_front([mark("a", 100, 0.04), mark("a", 120, 0.04, level=16)]) is None
    drawn = plots.pareto_front([mark("a", 900, 0.04), mark("b", 900, 0.04)], slo_ms=300)
    assert drawn is not None and drawn.finding == "No setting keeps to the SLO at any load: there is no front"
    assert "a (keeps to the SLO at no load); b (keeps to the SLO at no load)." in drawn.svgs["wide"]


def test_the_figure_numbers_the_front_and_tells_every_mark() -> None:
    points = [mark("quick", 100, 0.08), mark("right", 200, 0.02), mark("neither", 210, 0.08), mark("near", 101, 0.081)]
    drawn = plots.pareto_front(points, slo_ms=300, warning="Not equal work: 9 and 6 partials/s.")
    assert drawn is not None
    check(drawn)
    for svg in drawn.svgs.values():
        assert svg.count('class="tip"') == 8
        assert len(re.findall(r"font-size: 7.5px[^>]*>[12]<", svg)) == 4
        assert "quick at 8 streams: finals after 100 (98.0–102) ms, WER 8.0 (7.8–8.2) %, 0.02 CPU s/s (front)" in svg
    assert "Rings: one more" in drawn.note and "Grey: another" in drawn.note
    assert drawn.note.endswith("Not equal work: 9 and 6 partials/s.")


@pytest.mark.parametrize(("count", "most"), [(6, 60_000), (60, 90_000)])
def test_the_figure_is_light_however_many_settings_there_are(count: int, most: int) -> None:
    points = [mark(f"setting {k:02d}", 100 + 3 * k, 0.1 - 0.001 * k) for k in range(count)]
    drawn = plots.pareto_front(points, slo_ms=500)
    assert drawn is not None and len(drawn.html()) < most
