"""Down from the page to a trial, and the sound of an utterance, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.chromium import MARKS, browse, reach
from tests.yapbench.test_report_drill import wires
from yapbench import report

pytestmark = MARKS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.build(wires(tmp_path_factory.mktemp("runs") / "wires"))


def seen(page: Path, folder: Path, script: str, *, hash_of: str = "", own_script: bool = True) -> str:
    """What `script` leaves in document.body.dataset.seen once the page has loaded."""
    text = page.read_text(encoding="utf-8")
    if not own_script:
        text = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    # The address as if a link from elsewhere had led here: a file's own address takes no fragment on a command line.
    first = f"<script>history.replaceState(null, '', '#{hash_of}')</script><main>" if hash_of else "<main>"
    probed = folder / "probed.html"
    probed.write_text(
        text.replace("<main>", first, 1).replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8"
    )
    dumped = browse(probed, folder, "--dump-dom", "--virtual-time-budget=4000")
    found = re.search(r'data-seen="([^"]*)"', dumped)
    assert found is not None, "the script did not come to its end"
    return found[1]


OPEN = """const say = () => {
  document.body.dataset.seen = [...document.querySelectorAll("details.trial")].map(d => d.open).join();
};"""


def test_a_link_in_the_table_opens_its_trial(page: Path, tmp_path: Path) -> None:
    click = (
        OPEN
        + """document.querySelectorAll(".sortable tbody tr")[0].querySelector("a").click(); setTimeout(say, 200);"""
    )
    assert seen(page, tmp_path, click) == "true,false,false,false"


def test_the_same_link_opens_it_again(page: Path, tmp_path: Path) -> None:
    again = (
        OPEN
        + """
      const link = document.querySelector(".sortable tbody a");
      link.click();
      const close = () => { document.querySelector("details.trial").open = false; };
      setTimeout(() => { close(); link.click(); setTimeout(say, 200); }, 200);
    """
    )
    assert seen(page, tmp_path, again) == "true,false,false,false"


def test_a_mark_in_a_chart_leads_to_its_trial(page: Path, tmp_path: Path) -> None:
    click = """
      const marks = [...document.querySelectorAll("#figure-eos-commit-1 .wide .leads")];
      const mark = marks.find(({ dataset }) => dataset.tip.startsWith("echo_msgpack, 8 streams"));
      mark.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      setTimeout(say, 200);
    """
    assert seen(page, tmp_path, OPEN + click) == "false,false,true,false"


def test_an_address_that_names_a_trial_opens_it(page: Path, tmp_path: Path) -> None:
    assert (
        seen(page, tmp_path, OPEN + "setTimeout(say, 200);", hash_of="trial-02a1b2c3d4e5") == "false,false,true,false"
    )


def test_without_script_all_trials_and_players_can_be_reached(page: Path, tmp_path: Path) -> None:
    look = """
      const tall = (element) => element.getBoundingClientRect().height > 10;
      const shown = (what) => [...document.querySelectorAll(what)].filter(tall).length;
      const seen = [shown("details.trial > summary"), shown("audio[controls]") > 2, shown("del") > 0];
      document.body.dataset.seen = seen.join();
    """
    assert seen(page, tmp_path, look, own_script=False) == "4,true,true"


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_reaches_over_the_edge_with_all_trials_open(page: Path, tmp_path: Path, width: int) -> None:
    opened = tmp_path / "opened.html"
    closed = page.read_text(encoding="utf-8")
    opened.write_text(closed.replace('<details class="card fold trial"', '<details open class="card fold trial"'))
    assert reach(opened, tmp_path, width) == {"width": width, "needed": width, "wide": []}


def test_a_clip_can_be_played_under_the_pages_policy(page: Path, tmp_path: Path) -> None:
    play = """
      const audio = document.querySelector("audio");
      document.body.dataset.seen = "nothing";
      audio.onloadedmetadata = () => { document.body.dataset.seen = audio.duration.toFixed(1); };
      audio.onerror = () => { document.body.dataset.seen = "error " + audio.error.message; };
      audio.preload = "metadata"; audio.load();
    """
    assert 0.9 < float(seen(page, tmp_path, play)) < 2.0
