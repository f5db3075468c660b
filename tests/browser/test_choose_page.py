"""The page that answers which server to take, in a real browser: both themes, phone width, no request, sortable."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.browser.test_report_page import CHROMIUM, DARK, browse, framed, picture, requests_of
from tests.yapbench import made_up_choice
from yapbench import report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "choose"
    made_up_choice.searched(folder / "0kyuta000000", "kyutai", levels=(8,), settings={"model": "tiny"})
    for k, wrong in enumerate((0.1, 0.6)):
        settings = {"model": "tiny", "window_ms": k}
        made_up_choice.files(folder / f"{k + 1}parak000000", levels=(4,), count=40, wrong=wrong, settings=settings)
    return report.build(folder)


@pytest.mark.parametrize(("flags", "bright"), [((), True), ((DARK,), False)], ids=["light", "dark"])
def test_it_is_drawn_in_the_readers_theme(page: Path, tmp_path: Path, flags: tuple[str, ...], bright: bool) -> None:
    pixels = picture(page, tmp_path, *flags)
    assert bool(np.median(pixels) > 200) is bright
    assert len(np.unique(pixels[::3, ::3].reshape(-1, 3), axis=0)) > 100, "no charts"


def test_nothing_reaches_over_the_edge_of_a_phone(page: Path, tmp_path: Path) -> None:
    outer = framed(page, tmp_path, 390)
    dumped = browse(outer, tmp_path, "--dump-dom", "--virtual-time-budget=4000", "--window-size=1400,3000")
    seen = re.search(r'data-seen="([^"]*)"', dumped)
    assert seen is not None, "the page did not load"
    assert json.loads(seen[1].replace("&quot;", '"')) == {"width": 390, "needed": 390, "wide": []}


def test_it_makes_no_request(page: Path, tmp_path: Path) -> None:
    assert requests_of(page, tmp_path) == []


def test_its_table_sorts_by_word_errors(page: Path, tmp_path: Path) -> None:
    probe = """<script>
      const head = [...document.querySelectorAll(".candidates th")].find(h => h.textContent.startsWith("WER"));
      head.click();
      const rows = [...document.querySelectorAll(".candidates tbody tr")];
      const column = rows.map(row => Number(row.cells[head.cellIndex].dataset.sort));
      document.body.dataset.order = column.length === 3 && column.every((v, k) => !k || v >= column[k - 1]);
    </script></body>"""
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    assert 'data-order="true"' in browse(probed, tmp_path, "--dump-dom", "--virtual-time-budget=2000")
