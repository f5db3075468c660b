"""The page that answers which server to take: verdicts first, all candidates in one table, prices count at once."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tests.yapbench import made_up, made_up_choice, made_up_sessions
from yapbench import report, store
from yapbench.choose import sentences
from yapbench.choose.choice import Choice
from yapbench.choose.results import ChooseResults
from yapbench.choose.verdict import Kind
from yapbench.report.build import headline_of, numbers_of, render
from yapbench.report.capacity import searched
from yapbench.report.gather import Gathered, gather

pytestmark = pytest.mark.slow  # many trials are made up, and whole pages built


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_choice.sweep(tmp_path_factory.mktemp("runs") / "choose", settings={"model": "tiny"}, count=46)


@pytest.fixture(scope="module")
def gathered(folder: Path) -> Gathered:
    return gather(folder)


@pytest.fixture(scope="module")
def page(gathered: Gathered) -> str:
    return render(gathered)


def test_each_candidate_is_called_by_its_server(gathered: Gathered) -> None:
    assert gathered.axes == ("server",)
    names = [one.name for one in gathered.choice.candidates]
    assert names == ["fastconformer", "kyutai", "parakeet by files", "voxtral"]
    assert {str(point.setting["server"]) for point in gathered.points} == set(names)


def test_the_finding_is_which_server_to_take_and_in_which_world(gathered: Gathered, page: str) -> None:
    headline = headline_of(gathered, searched(gathered))
    assert headline == gathered.choice.headline and headline.startswith("In tiny's small world, ")
    assert f"<h1>{html.escape(headline, quote=False)}".replace("'", "&#39;") in page
    assert "Tiny is a small test checkpoint" in page and "Probes of 12 s are a quick look" in page


def test_each_use_has_a_card_with_its_reason(gathered: Gathered, page: str) -> None:
    text = html.unescape(page)
    for verdict in gathered.choice.verdicts:
        assert f'id="use-{verdict.use.key}"' in page
        assert sentences.title(verdict) in text and sentences.reason(verdict, gathered.choice.terms) in text
        assert sentences.demands(verdict) in text
    batch = gathered.choice.verdicts[2]
    assert (batch.kind, batch.first[0].name) == (Kind.TAKEN, "parakeet by files")


def test_one_table_has_all_candidates_with_their_notebooks(gathered: Gathered, page: str) -> None:
    [table] = re.findall(r'<table class="ramp sortable candidates">.*?</table>', page, flags=re.S)
    for one in gathered.choice.candidates:
        assert f'<a href="#trial-{one.trial_id}">{one.name}</a>' in table
    assert table.count("/notebook.ipynb") == 4
    assert "cost/h, machine s" in table and "whole files are sent: nobody speaks" in table


def test_a_price_in_the_sweep_file_makes_money_of_machine_time(folder: Path, gathered: Gathered) -> None:
    grid = folder / store.GRID
    grid.write_text("parameters: {price_per_hour: 1.2, currency: EUR, price_source: a list of May}\n", encoding="utf-8")
    choice = Choice.of(folder, gathered.done, gathered.points)
    grid.unlink()
    assert choice.terms.words.startswith("An hour of the machine is taken to cost 1.2 EUR (a list of May)")
    assert "EUR" in sentences.reason(choice.verdicts[2], choice.terms)


def test_the_card_of_the_site_has_a_number_for_each_use(gathered: Gathered) -> None:
    labels = [one.label for one in numbers_of(gathered, searched(gathered))]
    assert [label.partition(":")[0] for label in labels] == ["Voice agent", "Live captions", "Batch transcription"]


def test_a_notebook_shows_its_own_line_and_the_others(tmp_path: Path) -> None:
    mine = made_up_choice.searched(tmp_path / "kyuta0000000", "kyutai", levels=(8,))
    made_up_choice.files(tmp_path / "parak0000000", levels=(4,), count=20)
    results = ChooseResults(mine)
    line, table = results.line().markup, results.table().markup
    assert "kyutai" in line and "parakeet" not in line
    assert table.count("<tr>") == 3 and "parakeet by files" in table
    assert "<h3>Voice agent: kyutai</h3>" in results.verdicts().markup


def test_a_candidate_that_failed_is_named(tmp_path: Path) -> None:
    made_up_choice.files(tmp_path / "choose" / "0parak000000", levels=(4,), count=20)
    failed = made_up.failed(tmp_path / "choose" / "1voxtr000000")
    given = made_up_sessions.trial(tmp_path / "other", levels=(1,), count=5).info["load"]
    store.write_json(failed.folder / store.TRIAL, failed.info | {"server": "voxtral", "load": given})
    text = report.build(tmp_path / "choose").read_text(encoding="utf-8")
    assert "One candidate could not be measured and takes no part: voxtral." in text


def test_searches_of_one_server_keep_their_own_page(tmp_path: Path) -> None:
    made = made_up_choice.searched(tmp_path / "kyuta0000000", "kyutai", levels=(8,))
    store.write_json(made.folder / store.TRIAL, made.info | {"notebook": "80_capacity"})
    assert not gather(tmp_path).choosing
