"""The page that answers which server to take, in a real browser: both themes, phone width, no request, sortable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import MARKS, THEMES, check_drawn, probed, reach, requests_of
from tests.yapbench import made_up_choice
from yapbench import report

pytestmark = MARKS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "choose"
    made_up_choice.searched(folder / "0kyuta000000", "kyutai", levels=(8,), settings={"model": "tiny"})
    for k, wrong in enumerate((0.1, 0.6)):
        settings = {"model": "tiny", "window_ms": k}
        made_up_choice.files(folder / f"{k + 1}parak000000", levels=(4,), count=40, wrong=wrong, settings=settings)
    return report.build(folder)


@THEMES
def test_it_is_drawn_in_the_readers_theme(page: Path, tmp_path: Path, flags: tuple[str, ...], bright: bool) -> None:
    check_drawn(page, tmp_path, flags, bright=bright)


def test_nothing_reaches_over_the_edge_of_a_phone(page: Path, tmp_path: Path) -> None:
    assert reach(page, tmp_path, 390) == {"width": 390, "needed": 390, "wide": []}


def test_it_makes_no_request(page: Path, tmp_path: Path) -> None:
    assert requests_of(page, tmp_path) == []


def test_its_table_sorts_by_word_errors(page: Path, tmp_path: Path) -> None:
    probe = """
      const head = [...document.querySelectorAll(".candidates th")].find(h => h.textContent.startsWith("WER"));
      head.click();
      const rows = [...document.querySelectorAll(".candidates tbody tr")];
      const column = rows.map(row => Number(row.cells[head.cellIndex].dataset.sort));
      document.body.dataset.order = column.length === 3 && column.every((v, k) => !k || v >= column[k - 1]);
    """
    assert 'data-order="true"' in probed(page, tmp_path, probe)
