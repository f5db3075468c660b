"""The site of published sweeps: every page with its data and notebooks, and an index that finds them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.yapbench import made_up
from tests.yapbench.pages import Page, assert_offline
from yapbench import report, store
from yapbench.errors import CorruptFile, UsageError
from yapbench.report import site as site_of_reports
from yapbench.report.publish import portable

pytestmark = pytest.mark.slow  # each page is built whole


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight trials and one that failed."""
    folder = made_up.sweep(tmp_path_factory.mktemp("runs") / "quick", requests=30)
    made_up.failed(folder / "08failed0000")
    return folder


@pytest.fixture(scope="module")
def site(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("site")
    report.publish(sweep, reports)
    return reports


@pytest.mark.slow
def test_a_published_sweep_has_its_page_data_and_notebooks(site: Path) -> None:
    page = (site / "quick" / "index.html").read_text(encoding="utf-8")
    assert_offline(page)
    links = [link for link in Page(page).links if not link.startswith(("#", "data:"))]
    assert len(links) > 30
    assert all((site / "quick" / link).exists() for link in links)
    assert not any(link.endswith(".ipynb") for link in links)


def test_published_rows_are_those_measured(site: Path, sweep: Path) -> None:
    name = "00a1b2c3d4e5/utterances.parquet"
    assert (site / "quick" / name).read_bytes() == (sweep / name).read_bytes()


def test_a_notebook_is_an_offline_page_with_its_outputs(site: Path) -> None:
    text = (site / "quick" / "00a1b2c3d4e5" / "notebook.html").read_text(encoding="utf-8")
    assert "ready &lt;now&gt;" in text
    assert "<script" not in text
    assert not re.search(r'(src|href)="https?:', text)
    assert (site / "quick" / "00a1b2c3d4e5" / ".." / "index.html").exists()


def test_the_index_has_a_card_for_each_sweep_newest_first(site: Path, tmp_path: Path) -> None:
    made_up.trial(tmp_path / "later" / "0a", requests=10)
    info = json.loads((tmp_path / "later" / "0a" / store.TRIAL).read_text())
    store.write_json(tmp_path / "later" / "0a" / store.TRIAL, info | {"started_at": "2027-01-01T00:00:00+00:00"})
    report.publish(tmp_path / "later", site)
    text = (site / "index.html").read_text(encoding="utf-8")
    assert_offline(text)
    assert text.index("later/index.html") < text.index("quick/index.html")
    assert "2027-01-01" in text
    assert "Made-up CPU" in text


@pytest.mark.slow
def test_publishing_twice_changes_nothing(sweep: Path, tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(p.relative_to(tmp_path)): p.read_bytes() for p in sorted(tmp_path.rglob("*")) if p.is_file()}

    report.publish(sweep, tmp_path)
    before = content()
    report.publish(sweep, tmp_path)
    assert content() == before


def test_a_folder_of_somebody_else_is_not_replaced(sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="not published by yapbench"):
        report.publish(sweep, tmp_path)
    assert (tmp_path / "quick" / "mine.txt").read_text() == "keep"


def test_a_sweep_without_a_finished_trial_is_not_published(tmp_path: Path) -> None:
    made_up.failed(tmp_path / "s" / "0failed")
    with pytest.raises(UsageError, match="no finished trial"):
        report.publish(tmp_path / "s", tmp_path / "site")


def test_a_damaged_card_is_named(sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "card.json").write_text("{")
    with pytest.raises(CorruptFile, match=r"old/card\.json"):
        report.publish(sweep, tmp_path)


def test_paths_of_this_machine_are_shortened() -> None:
    checkout = Path(report.__file__).resolve().parents[2]
    assert portable(f"cd {checkout} && {checkout}/.venv/bin/python") == "cd . && ./.venv/bin/python"
    assert portable(f"{checkout}-other") == f"{checkout}-other"


@pytest.mark.parametrize(
    ("written", "published"),
    [
        ("--script=/scratch/copy/runs/quick/26cf857dfeda/script.json", "--script=runs/quick/26cf857dfeda/script.json"),
        ('"/runs/quick/26cf857dfeda/trial.json"', '"runs/quick/26cf857dfeda/trial.json"'),
        ("/scratch/copy/.venv/bin/python /scratch/copy/yapbench/x.py", "./.venv/bin/python ./yapbench/x.py"),
        ("out_dir='/elsewhere/a b/quick/26cf857dfeda'", "out_dir='runs/quick/26cf857dfeda'"),
        ("http://host/runs/quick/26cf857dfeda ../runs/q/t", "http://host/runs/quick/26cf857dfeda ../runs/q/t"),
        ("/app/runs/q/t.json /my/app/x /application", "runs/q/t.json /my/app/x /application"),
    ],
)
def test_paths_of_other_checkouts_are_shortened_too(written: str, published: str) -> None:
    assert portable(written, Path("/elsewhere/a b/quick")) == published


def test_a_published_sweep_gets_its_page_again_in_its_own_place(tmp_path: Path) -> None:
    made_up.trial(tmp_path / "runs" / "quick" / "a")
    (tmp_path / "runs" / "quick" / "a" / "notebook.ipynb").write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    page = report.publish(tmp_path / "runs" / "quick", tmp_path / "reports")
    before = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    page.write_text("an older page")

    assert report.publish(page.parent, tmp_path / "reports") == page
    assert {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()} == before


QUESTIONS = {
    "# What does it cost? Four delays.\nnotebook: x": "What does it cost?",
    "# What `make demo` runs: what does that\n# buy, and what not? 18 points.": "What does that buy, and what not?",
    "# The classic ramp: 1 to 40.\nnotebook: what?": "",
    "notebook: x": "",
}


@pytest.mark.parametrize(("grid", "asked"), QUESTIONS.items())
def test_a_card_asks_what_the_sweep_asks(grid: str, asked: str) -> None:
    assert site_of_reports.question(grid) == asked


def test_the_index_has_a_section_for_each_server_those_without_a_model_last() -> None:
    cards = [{"server": name} for name in ("echo", "gone", "kyutai", "kyutai, voxtral", "kyutai")]
    found = [(section.title, len(section.cards)) for section in site_of_reports.sections(cards)]
    assert found == [("Which server?", 1), ("kyutai", 2), ("echo", 1), ("others", 1)]


def test_an_older_card_without_numbers_still_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    store.write_json(tmp_path / "old" / "card.json", {"name": "old", "headline": "Found <it>", "date": "2025-01-01"})
    site_of_reports.write_index(tmp_path)
    assert "Found &lt;it&gt;" in (tmp_path / "index.html").read_text(encoding="utf-8")
