"""A page of searches: the capacity as its headline, each setting's answer with its guards, and what was not shown."""

from __future__ import annotations

import html
import json
from pathlib import Path

import pytest

from tests.yapbench import made_up_sessions
from yapbench import report, store
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.results import CapacityResults
from yapbench.errors import ExitCode, UsageError
from yapbench.report import capacity
from yapbench.report.gather import gather

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built

OPTIONS = SearchOptions(slo_ms=500, start=8, most=64, replicates=100)


def searched(folder: Path, name: str, *, base_ms: float = 60.0, repeats: int = 3) -> store.TrialData:
    """A trial that probed 8 and 32 streams, three times each."""
    made = made_up_sessions.trial(
        folder / name,
        levels=(8, 32),
        repeats=repeats,
        count=50,
        base_ms=base_ms,
        slo_ms=500,
        settings={"workers": name},
    )
    store.write_json(made.folder / store.TRIAL, made.info | {"search": OPTIONS.as_dict()})
    return store.read_trial(made.folder)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    searched(folder, "fast", base_ms=40)
    searched(folder, "slow", base_ms=140)
    return folder


def test_each_setting_has_its_answer(two: Path) -> None:
    fast, slow = capacity.searched(gather(two))

    assert (fast.setting, slow.setting) == ("workers fast", "workers slow")
    assert fast.results.answer.claimed is not None
    assert (slow.results.answer.claimed or 0) < fast.results.answer.claimed
    assert {verdict for _, _, verdict, _ in fast.results.guard_rows()} <= {"met", "missed", "undecided"}


def test_the_headline_names_the_most_and_the_least(two: Path) -> None:
    text = capacity.headline(capacity.searched(gather(two)))
    assert text.startswith("Capacity: ")
    assert "workers fast" in text


def test_one_known_setting_among_others_is_named(tmp_path: Path) -> None:
    searched(tmp_path, "fast", base_ms=40)
    searched(tmp_path, "few", repeats=1)
    few, fast = capacity.searched(gather(tmp_path))
    text = capacity.headline([fast, few])
    assert few.claim == "undecided"
    assert text.startswith(f"Capacity: {fast.claimed_words} with workers fast, 95 % of the finals")
    assert text.endswith("; undecided in one")


def test_the_page_says_it_first_and_explains_the_guards(two: Path) -> None:
    page = report.build(two).read_text()

    assert f"<h1>{capacity.headline(capacity.searched(gather(two)))[:20]}" in page
    assert page.count("the guards at the loads that decide") == 2
    assert "capacity within 500 ms at p95" in page
    assert "keeps up" in page
    for one in capacity.searched(gather(two)):
        assert html.escape(one.figure.label) in page


def test_one_search_is_told_by_its_own_title(tmp_path: Path) -> None:
    found = CapacityResults(searched(tmp_path, "only"))
    [one] = capacity.searched(gather(tmp_path))

    assert capacity.headline([one]) == found.sentences()[0]
    assert one.setting == ""
    assert len(one.results.step_rows()) == 6
    assert found.exit_code is ExitCode.OK
    assert found.sentences()[0] in found.conclusion().markup.replace("&lt;", "<")


def test_a_trial_of_given_levels_has_no_capacity_to_show(tmp_path: Path) -> None:
    made = made_up_sessions.trial(tmp_path / "plain", levels=(1,), count=10)
    assert capacity.searched(gather(tmp_path)) == []
    with pytest.raises(UsageError, match="did not search"):
        CapacityResults(made)


def test_the_stored_search_gives_the_same_answer_again(tmp_path: Path) -> None:
    made = searched(tmp_path, "only")
    again = store.read_trial(made.folder)
    assert json.dumps(CapacityResults(made).sentences()) == json.dumps(CapacityResults(again).sentences())
