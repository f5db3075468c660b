"""The search for capacity against servers whose capacity is known: what it asks, how often, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.yapbench.virtual_queue import POOL, Queue, clerks, late, recogniser, searched
from yapbench.capacity import Answer, Observation, Probe, Search, SearchOptions, Verdict, answer_of
from yapbench.capacity.bracket import bracket_of
from yapbench.capacity.level import levels_of
from yapbench.capacity.observation import Heard
from yapbench.errors import ExitCode, UsageError

Server = Callable[[int], float]
"""The tail in ms at a level; infinite: every tenth stream fails."""
QUICK = SearchOptions(replicates=100)


def observed(level: int, repeat: int, tail_ms: float, *, n: int = 50) -> Observation:
    """A probe whose every stream took `tail_ms`."""
    failed = n // 10 if np.isinf(tail_ms) else 0
    return Observation(
        level=level,
        repeat=repeat,
        n=n,
        failures={"timeout": failed} if failed else {},
        eos_ms=(float("nan"),) * failed + (100.0 if failed else tail_ms,) * (n - failed),
        streams=tuple(k % level for k in range(n)),
        heard={},
        finished_per_s=level / (3 + min(tail_ms, 9000) / 1e3),
        speech_s=3.0,
    )


def asked(server: Server, options: SearchOptions = QUICK) -> tuple[Answer, list[Probe]]:
    search, probes = Search(options), []
    while (probe := search.next()) is not None:
        probes.append(probe)
        search.take(observed(probe.level, probe.repeat, server(probe.level)))
    return search.answer(), probes


def cliff(capacity: float, base_ms: float = 100.0, *, steep: int = 8) -> Server:
    """Flat, then ever steeper; at 500 ms there are `capacity` streams."""
    return lambda level: base_ms + (500 - base_ms) * (level / capacity) ** steep


@given(capacity=st.floats(5, 500), base_ms=st.floats(5, 300), resolution=st.sampled_from([0.02, 0.05, 0.1]))
@settings(max_examples=40, deadline=None)
def test_a_server_without_noise_is_found_within_the_resolution(
    capacity: float, base_ms: float, resolution: float
) -> None:
    options = replace(QUICK, resolution=resolution, most_probes=30)
    answer, _ = asked(cliff(capacity, base_ms), options)

    assert answer.verdict is Verdict.FOUND
    assert answer.estimate == pytest.approx(capacity, rel=resolution, abs=0.5)
    assert answer.claimed is not None and answer.claimed <= capacity
    between = resolution / 5  # what the tail does between two levels is not known
    assert (answer.low or 0) * (1 - between) <= capacity <= (answer.high or 0) * (1 + between)


@given(
    tails=st.dictionaries(st.integers(1, 200), st.sampled_from([50.0, 450.0, 550.0, 3000.0, float("inf")])),
    start=st.integers(1, 40),
    most=st.integers(40, 200),
    most_probes=st.integers(1, 20),
)
@settings(max_examples=40, deadline=None)
def test_whatever_a_server_does_no_probe_is_out_of_bounds(
    tails: dict[int, float], start: int, most: int, most_probes: int
) -> None:
    options = replace(QUICK, start=start, most=most, most_probes=most_probes)
    answer, probes = asked(lambda level: tails.get(level, 400.0), options)

    assert len(probes) <= most_probes
    assert all(1 <= probe.level <= most for probe in probes)
    assert len({(probe.level, probe.repeat) for probe in probes}) == len(probes)
    assert answer.claimed is None or answer.verdict in (Verdict.FOUND, Verdict.AT_LEAST)


@given(capacity=st.floats(1.5, 900))
@settings(max_examples=40, deadline=None)
def test_the_bracket_only_shrinks(capacity: float) -> None:
    search = Search(QUICK)
    widths = []
    while (probe := search.next()) is not None:
        search.take(observed(probe.level, probe.repeat, cliff(capacity)(probe.level)))
        widths.append(bracket_of(levels_of(search.seen, QUICK), QUICK).width)

    assert all(after <= before for before, after in pairwise(widths))


def test_the_same_observations_give_the_same_probes_and_the_same_answer() -> None:
    queue, _ = clerks(3)
    search = Search(QUICK)
    seen = searched(queue, search)

    again = Search(QUICK)
    for item in seen:
        probe = again.next()
        assert probe is not None and (probe.level, probe.repeat) == (item.level, item.repeat)
        again.take(item)
    assert again.next() is None
    assert repr(answer_of(seen, QUICK).tried) == repr(search.answer().tried)
    assert (again.answer().estimate, again.answer().claimed) == (search.answer().estimate, search.answer().claimed)


def test_growth_little_and_repeats_say_why_they_are_asked_for() -> None:
    _, probes = asked(cliff(90, steep=16))
    reasons = [probe.reason for probe in probes]

    assert reasons[:3] == ["the first level", "four times as many: 4 held", "four times as many: 16 held"]
    assert any("Little's law said" in reason for reason in reasons)
    assert any(reason == "repeat 3 of 3" for reason in reasons)


def test_the_levels_that_decide_are_repeated_in_turns() -> None:
    _, probes = asked(cliff(90, steep=16))
    repeats = [probe.level for probe in probes if probe.reason.startswith("repeat")]

    assert len(set(repeats)) == 2
    assert all(before != after for before, after in pairwise(repeats))


def test_a_server_that_is_always_good_has_at_least_the_most_that_was_asked_for() -> None:
    answer, probes = asked(lambda level: 50.0, replace(QUICK, most=96))

    assert (answer.verdict, answer.claimed, answer.high) == (Verdict.AT_LEAST, 96, None)
    assert [probe.level for probe in probes] == [4, 16, 64, 96, 96, 96]
    assert answer.exit_code == ExitCode.OK


def test_a_server_that_is_never_good_has_fewer_than_one() -> None:
    answer, probes = asked(lambda level: 5000.0 + level)

    assert (answer.verdict, answer.claimed, answer.estimate) == (Verdict.BELOW, None, None)
    assert probes[-1].level == 1
    assert answer.exit_code == ExitCode.SLO_MISSED


def test_failures_end_the_capacity_whatever_the_times_are() -> None:
    answer, _ = asked(lambda level: float("inf") if level > 40 else 60.0)

    assert (answer.verdict, answer.claimed) == (Verdict.FOUND, answer.holds)
    assert 38 <= (answer.claimed or 0) <= 40
    assert answer.estimate is not None and answer.estimate <= 40
    assert answer.high is not None and answer.high < (answer.misses or 0)


def test_words_that_the_load_harms_end_the_capacity_too() -> None:
    search = Search(replace(QUICK, baseline=True))
    while (probe := search.next()) is not None:
        wrong = 3 if probe.level > 24 else 0
        heard = {f"text{k}": Heard(wrong, 20, 0, 1) for k in range(100)}
        search.take(replace(observed(probe.level, probe.repeat, 60.0), heard=heard))

    answer = search.answer()
    assert answer.verdict is Verdict.FOUND and 22 <= (answer.claimed or 0) <= 24
    assert any("its words are harmed" in each.missed for each in answer.levels)


def test_short_probes_are_repeated_until_there_are_enough_utterances() -> None:
    search = Search(replace(QUICK, most=4))
    while (probe := search.next()) is not None:
        search.take(observed(probe.level, probe.repeat, 60.0, n=20))

    answer = search.answer()
    assert (answer.verdict, answer.claimed, len(answer.tried)) == (Verdict.AT_LEAST, 4, 7)
    assert answer.tried[-1].reason == "repeat 7 of 7"


def test_a_server_that_is_worse_in_the_middle_is_not_credited_with_what_it_does_beyond() -> None:
    answer, _ = asked(lambda level: 900.0 if 10 <= level <= 20 else 90.0)

    assert answer.claimed is not None and answer.claimed < 10
    assert answer.misses is not None and answer.misses <= 20


def test_a_probe_of_a_late_client_is_asked_again_once_and_does_not_count() -> None:
    search = Search(QUICK)
    search.take(observed(4, 0, 100.0))
    search.take(late(observed(16, 0, 9000.0)))
    again = search.next()
    assert again == Probe(16, 1, "thrown away, asked again: client late: p99 12.0 ms > 10 ms")
    search.take(observed(16, 1, 100.0))

    following = search.next()
    assert following is not None and following.level == 64
    assert [each.valid for each in search.answer().tried] == [True, False, True]


def test_where_the_load_generator_gives_up_is_the_end_and_is_said() -> None:
    search = Search(QUICK)
    while (probe := search.next()) is not None:
        one = observed(probe.level, probe.repeat, 90.0)
        search.take(late(one) if probe.level > 50 else one)
    answer = search.answer()

    assert (answer.verdict, answer.blocked, answer.high) == (Verdict.AT_LEAST, True, None)
    assert answer.claimed is not None and 4 <= answer.claimed <= 50


def test_a_client_that_is_always_late_leaves_it_undecided() -> None:
    search = Search(QUICK)
    while (probe := search.next()) is not None:
        search.take(late(observed(probe.level, probe.repeat, 90.0)))

    assert search.answer().verdict is Verdict.UNDECIDED
    assert search.answer().exit_code == ExitCode.INVALID_RUN


def test_too_few_utterances_leave_it_undecided() -> None:
    search = Search(QUICK)
    while (probe := search.next()) is not None:
        search.take(observed(probe.level, probe.repeat, cliff(30)(probe.level), n=12))

    answer = search.answer()
    assert (answer.verdict, answer.claimed) == (Verdict.UNDECIDED, None)
    assert answer.estimate == pytest.approx(30, rel=0.05)


def test_one_stream_comes_first_where_words_are_compared_and_counts_as_a_probe() -> None:
    answer, probes = asked(cliff(90), replace(QUICK, baseline=True))

    assert [probe.level for probe in probes[:2]] == [1, 4]
    assert len(answer.tried) == len(probes) <= QUICK.most_probes


def test_an_answer_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="observed level 8, repeat 0; asked for was level 4, repeat 0"):
        Search(QUICK).take(observed(8, 0, 100.0))


def test_an_empty_search_answers_that_nothing_was_probed() -> None:
    answer = Search(QUICK).answer()

    assert (answer.verdict, answer.levels, answer.estimate) == (Verdict.UNDECIDED, (), None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slo_ms": 0.0}, "slo_ms is 0.0; it must be a positive number of milliseconds"),
        ({"start": 0}, "start is 0; it must be a whole number from 1 to 1024"),
        ({"start": 9, "most": 8}, "start is 9; it must be a whole number from 1 to 8"),
        ({"repeats": 2}, "repeats is 2; it must be a whole number from 3 to 100"),
        ({"most_probes": 2.5}, "most_probes is 2.5; it must be a whole number from 1 to 1000"),
        ({"resolution": 2}, "resolution is 2; it must be a share from 0.001 to 1"),
        ({"quantile": 0.4}, "quantile is 0.4; it must be one of 0.5, 0.9, 0.95, 0.99"),
    ],
)
def test_impossible_options_are_refused_by_name(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        SearchOptions(**wrong)  # type: ignore[arg-type]


def test_options_survive_their_json() -> None:
    options = SearchOptions(slo_ms=300.0, baseline=True, most_is="the load generator's limit")

    assert SearchOptions(**options.as_dict()) == options


def test_the_virtual_queue_waits_as_its_formula_says() -> None:
    queue = Queue(workers=3, service_s=0.08, speech_s=2.0)
    for level in (10, 70):
        eos_ms, _, _ = queue.run(level, 30_000, np.random.default_rng(level))
        assert np.quantile(eos_ms, 0.95) == pytest.approx(queue.tail_ms(level), rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 6, 10])
def test_capacities_of_recognisers_are_found(number: int) -> None:
    queue, capacity = recogniser(number)
    answers = []
    for seed in range(3):
        search = Search(replace(QUICK, replicates=200))
        assert len(searched(queue, search, seed=seed)) <= 12
        answers.append(search.answer())

    assert all(answer.estimate == pytest.approx(capacity, rel=0.08) for answer in answers)
    assert all((answer.claimed or 0) <= capacity for answer in answers)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_h7_two_hundred_searches_come_within_five_percent() -> None:
    errors, covered, claims = [], [], []
    for seed in range(200):
        queue, capacity = recogniser(seed % POOL)
        search = Search(replace(QUICK, replicates=200))
        assert len(searched(queue, search, seed=seed)) <= 12
        answer = search.answer()
        errors.append(abs((answer.estimate or 0) / capacity - 1))
        covered.append((answer.low or 0) <= capacity <= (answer.high or 1e9))
        claims.append((answer.claimed or 0) / capacity)

    assert max(errors) <= 0.05
    assert np.mean(np.array(errors) <= 0.02) >= 0.9
    assert np.mean(covered) >= 0.93
    assert max(claims) <= 1 and np.mean(np.array(claims) > 0.8) >= 0.9
