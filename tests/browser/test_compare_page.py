"""The page of a comparison in a real browser: both themes, phone width, no request, sortable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import MARKS, THEMES, check_drawn, probed, reach, requests_of
from tests.yapbench import made_up_sessions
from yapbench.compare.command import write
from yapbench.compare.comparison import compare_folders

pytestmark = MARKS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, slow in (("before", 1.0), ("after", 1.2)):
        made_up_sessions.trial(folder / name / "t1", levels=(8, 32), count=60, repeats=2, slow=slow)
    return write(compare_folders(folder / "before", folder / "after"), folder)


@THEMES
def test_it_is_drawn_in_the_readers_theme(page: Path, tmp_path: Path, flags: tuple[str, ...], bright: bool) -> None:
    check_drawn(page, tmp_path, flags, bright=bright)


def test_nothing_reaches_over_the_edge_of_a_phone(page: Path, tmp_path: Path) -> None:
    assert reach(page, tmp_path, 390) == {"width": 390, "needed": 390, "wide": []}


def test_it_makes_no_request(page: Path, tmp_path: Path) -> None:
    assert requests_of(page, tmp_path) == []


def test_its_table_sorts_by_the_change(page: Path, tmp_path: Path) -> None:
    probe = """
      const head = [...document.querySelectorAll(".sortable th")].find(h => h.textContent === "change");
      head.click();
      const rows = [...document.querySelectorAll(".sortable tbody tr")];
      const column = rows.map(row => Number(row.cells[head.cellIndex].dataset.sort));
      document.body.dataset.order = column.length > 3 && column.every((v, k) => !k || v >= column[k - 1]);
    """
    assert 'data-order="true"' in probed(page, tmp_path, probe)
