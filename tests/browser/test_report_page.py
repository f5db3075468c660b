"""The report in a real browser: drawn in light, dark and at phone width, without a request, without script too."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.browser.chromium import MARKS, THEMES, check_drawn, picture, probed, reach, requests_of
from tests.yapbench import made_up, made_up_sessions
from yapbench import report

pytestmark = MARKS


@pytest.fixture(scope="module", params=["requests", "streams"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "quick"
    if request.param == "streams":
        return report.build(made_up_sessions.sweep(folder, count=40, certificate=made_up_sessions.CERTIFICATE))
    made_up.sweep(folder, requests=40)
    made_up.failed(folder / "08failed0000")
    return report.build(folder)


@THEMES
def test_the_page_is_drawn_in_the_readers_theme(
    page: Path, tmp_path: Path, flags: tuple[str, ...], bright: bool
) -> None:
    pixels = check_drawn(page, tmp_path, flags, bright=bright)
    assert pixels.astype(float).std() > 15, "nothing is drawn"


@pytest.mark.parametrize("width", [360, 390, 800, 1280])
def test_nothing_reaches_over_the_edge(page: Path, tmp_path: Path, width: int) -> None:
    assert reach(page, tmp_path, width) == {"width": width, "needed": width, "wide": []}


def test_the_page_makes_no_request(page: Path, tmp_path: Path) -> None:
    assert requests_of(page, tmp_path) == []


def test_a_request_would_be_seen(tmp_path: Path) -> None:
    leaky = tmp_path / "leaky.html"
    leaky.write_text('<img src="http://127.0.0.1:9/leak.png">', encoding="utf-8")
    assert requests_of(leaky, tmp_path) == ["http://127.0.0.1:9/leak.png"]


def test_without_script_the_charts_and_the_finding_are_drawn_the_same(page: Path, tmp_path: Path) -> None:
    still = tmp_path / "still.html"
    still.write_text(
        re.sub(r"<script>.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.S), encoding="utf-8"
    )
    size = (1280, 1500)  # above the table: its hint on sorting is shown only with script
    one, other = (picture(each, tmp_path, size=size).astype(int) for each in (still, page))
    differs = np.abs(one - other).max(axis=2) > 40
    assert 0 < differs.mean() < 0.005, "only the theme button is missing"


def test_the_script_runs_sorts_and_moves_hover_texts(page: Path, tmp_path: Path) -> None:
    """Clicks a column twice and notes the order of the first column's numbers."""
    probe = """
      const head = [...document.querySelectorAll(".sortable th")].find(h => h.textContent.includes("p50"));
      const rows = () => [...document.querySelectorAll(".sortable tbody tr")];
      const column = () => rows().map(r => Number(r.cells[head.cellIndex].dataset.sort));
      head.click(); const up = column(); head.click(); const down = column();
      const rising = up.every((v, k) => !k || v >= up[k - 1]), falling = down.every((v, k) => !k || v <= down[k - 1]);
      const count = (what) => document.querySelectorAll(what).length;
      const tips = count("[data-tip]"), titles = count("svg title");
      document.body.dataset.order = [rising, falling, tips > 50, titles].join();
    """
    assert 'data-order="true,true,true,0"' in probed(page, tmp_path, probe)
