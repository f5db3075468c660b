"""Bars and verdicts are pure functions of what was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.calibrate import bars, plan, session
from yapbench.calibrate.bars import Bar, reached
from yapbench.calibrate.plan import DelayCase, SearchCase, StreamCase
from yapbench.calibrate.search import largest
from yapbench.calibrate.values import Delays, Freeze, Health, Paced, on_time
from yapbench.calibrate.verdict import others_percent, verdict
from yapbench.validity import Verdict

IDLE = Health("a run", 10.0, (), 20.0, 1.0, 0.1)
HELD_UP = replace(IDLE, bare_p99_ms=0.5)
NOT_ALONE = replace(IDLE, others_percent=11.0)
PACED = Paced(StreamCase(256, 80), 1000, 0.03, 0.05, 0.6, 0, 1000, 0, 0, 1.0, 20.0, IDLE)

number = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("value", "words"), [(None, "not measured"), (1.0, "goal"), (1.1, "floor"), (2.0, "floor"), (2.1, "missed")]
)
def test_a_bar_has_five_verdicts(value: float | None, words: str) -> None:
    assert reached(value, floor=2.0, goal=1.0) == words
    blamed = {"missed": "disturbed"}.get(words, words)
    assert reached(value, floor=2.0, goal=1.0, disturbed=True) == blamed
    assert reached(value, floor=2.0, goal=None) == {"goal": "floor"}.get(words, words)


@given(value=number, floor=number, goal=number)
def test_more_is_better_the_other_way_round(value: float, floor: float, goal: float) -> None:
    mirrored = reached(-value, floor=-floor, goal=-goal, at_least=True)
    assert mirrored == reached(value, floor=floor, goal=goal)


def test_h1_to_h3_of_random_phases() -> None:
    found = bars.of_streams(PACED)
    assert [(bar.bar, bar.unit, bar.floor, bar.goal) for bar in found] == [
        ("H1", "ms", 0.5, 0.1),
        ("H1", "ms", 2.0, 0.7),
        ("H2", "ppm", 20.0, 2.0),
        ("H3", "us", 45.0, 25.0),
    ]
    assert {bar.verdict for bar in found} == {"goal"}
    assert found[0].what == "frame lateness p99, 256 streams x 80 ms, random phases"
    assert found[0].note == "target echo; bare loop p99 0.10 ms"


def test_in_phase_the_bar_grows_with_the_streams() -> None:
    case = StreamCase(1000, 80, "aligned", target="sink")
    late, cpu = bars.of_streams(replace(PACED, case=case, late_p99_ms=25.5, cpu_us_per_frame=15.1))
    assert (late.floor, late.verdict) == (25.5, "floor")
    assert (cpu.floor, cpu.goal, cpu.verdict) == (15.0, 8.0, "missed")


@pytest.mark.parametrize(("health", "words"), [(IDLE, "missed"), (HELD_UP, "disturbed"), (NOT_ALONE, "disturbed")])
def test_what_the_machine_did_is_not_held_against_the_client(health: Health, words: str) -> None:
    late = replace(PACED, late_p99_ms=0.6, health=health)
    assert bars.of_streams(late)[0].verdict == words
    assert ("others used 11 %" in bars.of_streams(late)[0].note) == (health is NOT_ALONE)
    assert bars.of_streams(late)[1].verdict == "goal"


def test_an_early_or_lost_frame_is_never_the_machines_fault() -> None:
    early, lost = bars.of_all_streams([PACED, replace(PACED, early=1, lost=3, health=HELD_UP)])
    assert [(bar.value, bar.floor, bar.verdict) for bar in (early, lost)] == [(1, 0, "missed"), (3, 0, "missed")]
    assert early.n == 2000
    assert bars.of_all_streams([]) == []


def test_h4_is_about_the_error_and_shows_the_latency() -> None:
    logged = np.linspace(50, 200, 1000)
    found = bars.of_delays(DelayCase(100, 0.5), Delays(logged - 0.4, logged, 2, replace(IDLE, bare_p99_ms=None)))
    assert [bar.value for bar in found] == pytest.approx([0.4] * 5)
    assert [bar.verdict for bar in found] == ["floor", "goal", "floor", "floor", "floor"]
    assert [bar.floor for bar in found[2:]] == [
        pytest.approx(max(1, np.percentile(logged, q) / 100)) for q in (50, 95, 99)
    ]
    assert found[0].note == "target echo; measured p50 124.6 ms, p99 198.1 ms; 2 without a pair"
    fixed = bars.of_delays(DelayCase(50), Delays(logged, logged, 0, IDLE))
    assert len(fixed) == 2


@given(short=st.floats(0, 1), true_ms=st.floats(100, 5000))
def test_h5_is_what_is_missing_of_the_true_p99(short: float, true_ms: float) -> None:
    true = np.full(10, true_ms)
    bar = bars.of_freeze(2.0, Freeze(true * (1 - short), true, 0, IDLE))
    assert bar.value == pytest.approx(100 * short, abs=1e-9)
    if abs(short - 0.1) > 1e-9:
        assert (bar.verdict in ("goal", "floor")) == (short < 0.1)
    assert bar.goal == pytest.approx(100 * 10 / true_ms)


@pytest.mark.parametrize(
    ("off_ms", "words"), [(-21, "floor"), (-9, "goal"), (9, "goal"), (11, "floor"), (500, "floor")]
)
def test_the_goal_of_h5_is_to_be_exact(off_ms: float, words: str) -> None:
    true = np.full(10, 2000.0)
    assert bars.of_freeze(2.0, Freeze(true + off_ms, true, 0, IDLE)).verdict == words


def test_a_freeze_that_hit_nobody_is_not_measured() -> None:
    nobody = Freeze(np.ones(5), np.zeros(5), 0, IDLE)
    assert bars.of_freeze(2.0, nobody).verdict == "not measured"
    assert bars.of_freeze(2.0, Freeze(np.empty(0), np.empty(0), 4, IDLE)).value is None


def test_h9_is_a_number_to_be_reached() -> None:
    case = SearchCase(80, 512)
    assert [bars.of_search(case, most).verdict for most in (427, 426, None)] == ["floor", "missed", "not measured"]
    assert bars.most_streams({case: 427, SearchCase(20, 128): None}) == {"80": 427}
    assert "lower bound" in bars.of_search(replace(case, thorough=False), 512).note


@pytest.mark.parametrize(
    ("found", "kept_up"),
    [
        (PACED, True),
        (None, False),
        (replace(PACED, failed=1), False),
        (replace(PACED, frames=0), False),
        (replace(PACED, health=replace(IDLE, problems=("client late",))), False),
        (replace(PACED, health=replace(IDLE, own_percent=94.9)), True),
        (replace(PACED, health=replace(IDLE, own_percent=95.0)), False),
    ],
)
def test_a_client_has_kept_up_when_trials_would_say_so(found: Paced | None, kept_up: bool) -> None:
    assert on_time(found) is kept_up


def test_what_a_quick_calibration_leaves_out_has_its_lines() -> None:
    found = bars.left_out(plan.STREAMS[:1], plan.DELAYS[:1], 2.0, note="quick")
    assert [(bar.bar, bar.value, bar.verdict, bar.note) for bar in found] == [
        (name, None, "not measured", "quick") for name in ("H1", "H4", "H5")
    ]


@pytest.mark.parametrize(
    ("runs", "word", "reason"),
    [
        ([IDLE, IDLE], Verdict.VALID, ""),
        ([IDLE, HELD_UP], Verdict.DISTURBED, "a run: the machine stood still"),
        ([IDLE, replace(IDLE, others_percent=25.0)], Verdict.INVALID, "other processes used 13 %"),
        ([IDLE, replace(IDLE, others_percent=18.0)], Verdict.VALID, ""),
        ([HELD_UP, replace(HELD_UP, others_percent=30.0)], Verdict.INVALID, "other processes used 16 %"),
        ([IDLE, IDLE, replace(HELD_UP, others_percent=12.0)], Verdict.VALID, ""),
        ([replace(IDLE, problems=("client late",)), HELD_UP], Verdict.INVALID, "a run: client late"),
        ([replace(IDLE, others_percent=None)], Verdict.VALID, ""),
        ([replace(IDLE, standstill="a processor stood")], Verdict.DISTURBED, "a run: a processor stood"),
    ],
)
def test_the_verdict_over_all_runs(runs: list[Health], word: Verdict, reason: str) -> None:
    found, reasons = verdict(runs)
    assert found is word
    assert "; ".join(reasons).startswith(reason)
    assert bool(reasons) == bool(reason)


def test_a_note_decides_nothing() -> None:
    assert verdict([IDLE], note="one CPU only") == (Verdict.VALID, ["one CPU only"])


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 60)), min_size=1, max_size=5))
def test_others_are_counted_over_the_time_of_all_runs(runs: list[tuple[float, float]]) -> None:
    found = others_percent([replace(IDLE, others_percent=p, seconds=s) for p, s in runs])
    assert found == pytest.approx(sum(p * s for p, s in runs) / sum(s for _, s in runs))
    assert others_percent([replace(IDLE, others_percent=None)]) is None


@given(limit=st.integers(0, 10_000), first=st.integers(4, 1000), most=st.integers(4, 5000))
def test_the_search_finds_the_limit_to_an_eighth(limit: int, first: int, most: int) -> None:
    tried: list[int] = []

    def fits(n: int) -> bool:
        tried.append(n)
        return n <= limit

    found = largest(fits, first=first, most=most)
    best = min(limit, most)
    if found is None:
        assert best < 8
    else:
        assert found <= best <= found + max(1, found / 8) + 1e-9
    assert len(tried) == len(set(tried)) <= 25
    assert max(tried, default=0) <= most


@given(limit=st.integers(4, 10_000), first=st.integers(4, 1000))
def test_a_quick_search_stops_at_the_first_that_fits(limit: int, first: int) -> None:
    found = largest(lambda n: n <= limit, first=first, most=20_000, thorough=False)
    assert found is None or found <= min(limit, first)
    assert found == first or first > limit


def test_bars_of_other_numbers_keep_their_place() -> None:
    from yapbench.calibrate.session import in_order

    made = [Bar(name, "", "", None, 0, None, "not measured") for name in ("H4", "H1", "H9", "H4", "H2")]
    assert [bar.bar for bar in in_order(made)] == ["H1", "H2", "H4", "H4", "H9"]


def test_a_run_in_which_the_machine_stood_still_is_made_again_and_said() -> None:
    late, again = replace(IDLE, bare_p99_ms=9.0), list[str]()
    runs = [late, late, IDLE]
    found = session.undisturbed(lambda: Ran(runs.pop(0)), lambda words: None, again, tries=3)
    assert (found.health, again, runs) == (IDLE, ["a run", "a run"], [])
    last = session.undisturbed(lambda: Ran(late), lambda words: None, again, tries=1)
    assert (last.health, len(again)) == (late, 2)


@dataclass(frozen=True)
class Ran:
    """A run that measured nothing."""

    health: Health
