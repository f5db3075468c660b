"""What is said of a search and how it is drawn: sentences and the figure, for each kind of answer."""

from __future__ import annotations

import re

import pytest

from tests.yapbench.test_capacity_search import QUICK, cliff, observed
from tests.yapbench.virtual_queue import late
from yapbench.capacity import Answer, Search, words
from yapbench.capacity.options import SearchOptions
from yapbench.plots.capacity import capacity

LIMITED = SearchOptions(most=96, most_is="the load generator's limit", replicates=100)


def answered(tails: float | None, options: SearchOptions = QUICK, *, late_from: int = 10_000) -> Answer:
    """Of a cliff at 90 streams; `tails`: of every level the same instead."""
    search = Search(options)
    while (probe := search.next()) is not None:
        tail_ms = cliff(90, steep=16)(probe.level) if tails is None else tails
        one = observed(probe.level, probe.repeat, tail_ms)
        search.take(late(one) if probe.level >= late_from else one)
    return search.answer()


FOUND = answered(None)
AT_LEAST = answered(50.0, LIMITED)
BELOW = answered(900.0)
BLOCKED = answered(50.0, late_from=60)
UNBELIEVED = answered(50.0, late_from=1)
FAILING = answered(float("inf"))
NOTHING = Search(QUICK).answer()


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (FOUND, rf"Capacity: {FOUND.claimed} streams with 95 % of the finals within 500 ms of the end of speech"),
        (AT_LEAST, "Capacity: at least 96 streams with 95 % of the finals within 500 ms of the end of speech"),
        (BELOW, "Capacity: fewer than 1 stream with 95 % of the finals within 500 ms of the end of speech"),
        (BLOCKED, f"Capacity: at least {BLOCKED.claimed} streams with 95 % of the finals within 500 ms of the end"),
        (UNBELIEVED, "Capacity undecided: no probe may be believed (client late: p99 12.0 ms > 10 ms)"),
        (FAILING, "Capacity: fewer than 1 stream with"),
        (NOTHING, "Capacity undecided: nothing was probed"),
    ],
)
def test_the_title_is_the_answer(answer: Answer, title: str) -> None:
    assert words.title(answer).startswith(title)
    assert words.sentences(answer)[0] == words.title(answer)


def test_a_found_capacity_is_said_with_its_interval_its_end_and_each_guard() -> None:
    text = "\n".join(words.sentences(FOUND))

    assert re.search(r"reaches the target at (89|90|91)\.\d streams \(95 % interval \d+\.\d–\d+\.\d\)", text)
    assert re.search(rf"{FOUND.misses} streams miss it: p95 \d+ ms", text)
    for guard in ("all of it within the target", "a true share above", "the load was on time"):
        assert f"At {FOUND.claimed} streams: " in text and guard in text
    assert f"Not shown at {FOUND.claimed} streams: words are not compared" in text


def test_a_censored_end_is_said() -> None:
    assert "The target is not reached up to 96 streams: the load generator's limit" in words.sentences(AT_LEAST)
    blocked = next(line for line in words.sentences(BLOCKED) if "could not put on" in line)
    assert blocked.endswith("no probe may be believed: client late: p99 12.0 ms > 10 ms")


def test_failures_that_end_it_are_said() -> None:
    search = Search(QUICK)
    while (probe := search.next()) is not None:
        search.take(observed(probe.level, probe.repeat, float("inf") if probe.level > 40 else 60.0))

    said = next(line for line in words.sentences(search.answer()) if line.startswith("What ends it"))
    assert "failed (timeout)" in said and "the capacity lies from" in said


@pytest.mark.parametrize("answer", [FOUND, AT_LEAST, BELOW, BLOCKED, FAILING])
def test_the_figure_holds_every_probe_twice_and_says_it_in_words(answer: Answer) -> None:
    figure = capacity(answer)
    timed = [each for each in answer.tried if each.tail_ms is not None]

    assert figure.title == words.title(answer)
    assert set(figure.svgs) == {"wide", "phone"}
    assert figure.svgs["wide"].count("<title>") == len(timed) + len(answer.tried)
    assert all(f"{each.level}: " in figure.label for each in timed)
    assert "NaN" not in figure.html() and "#0a0a" not in figure.html()


@pytest.mark.slow
def test_the_figure_of_a_found_capacity_names_where_the_fit_reaches_the_target() -> None:
    figure = capacity(FOUND)

    assert f"{FOUND.estimate:.3g} ({FOUND.low:.3g}–{FOUND.high:.3g})" in figure.svgs["wide"]
    assert "target 500 ms" in figure.svgs["phone"]
    assert capacity(FOUND).html() == figure.html()


def test_without_a_time_there_is_no_figure_but_its_reason() -> None:
    assert capacity(NOTHING).label == "No probe has a time."


def test_the_manner_ends_the_title() -> None:
    figure = capacity(FOUND, manner="end of speech: commit by the client")

    assert figure.title.endswith("of the end of speech · end of speech: commit by the client")
    assert figure.finding == words.title(FOUND)
