"""The report in a real browser: drawn in light, dark and at phone width, without a request, without script too."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.yapbench import made_up, made_up_sessions
from yapbench import report

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
DARK = "--blink-settings=preferredColorScheme=0"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]


@pytest.fixture(scope="module", params=["requests", "streams"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "quick"
    if request.param == "streams":
        return report.build(made_up_sessions.sweep(folder, count=40, certificate=made_up_sessions.CERTIFICATE))
    made_up.sweep(folder, requests=40)
    made_up.failed(folder / "08failed0000")
    return report.build(folder)


def browse(page: Path, folder: Path, *flags: str) -> str:
    """Run Chromium once on `page` with a new profile; returns what it printed."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout


def picture(page: Path, folder: Path, *flags: str, size: tuple[int, int] = (1280, 2400)) -> np.ndarray:
    """A screenshot as (height, width, 3) uint8."""
    file = folder / "page.png"
    browse(page, folder, f"--screenshot={file}", f"--window-size={size[0]},{size[1]}", *flags)
    return np.asarray(Image.open(file).convert("RGB"))


def framed(page: Path, folder: Path, width: int) -> Path:
    """A page that shows `page` in a frame of `width` pixels and notes what reaches over its edge.

    A headless window is never narrower than 500 pixels, hence the frame; file pages may not look into each other's
    frames, hence srcdoc.
    """
    probe = """<script>addEventListener("load", () => {
      const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll *, svg *")
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + "." + e.className);
      parent.postMessage(JSON.stringify({width: innerWidth, needed: document.documentElement.scrollWidth, wide}), "*");
    });</script></body>"""
    inner = page.read_text(encoding="utf-8").replace("</body>", probe)
    script = f"""<body style="margin:0"><script>
      addEventListener("message", e => {{ document.body.dataset.seen = e.data; }});
      const frame = document.createElement("iframe");
      frame.style = "width:{width}px;height:3000px;border:0";
      frame.srcdoc = {json.dumps(inner).replace("</", "<" + chr(92) + "/")};
      document.body.append(frame);
    </script></body>"""
    file = folder / f"framed-{width}.html"
    file.write_text(script, encoding="utf-8")
    return file


def spread(pixels: np.ndarray) -> float:
    return float(pixels.astype(float).std())


@pytest.mark.parametrize(("flags", "bright"), [((), True), ((DARK,), False)], ids=["light", "dark"])
def test_the_page_is_drawn_in_the_readers_theme(
    page: Path, tmp_path: Path, flags: tuple[str, ...], bright: bool
) -> None:
    pixels = picture(page, tmp_path, *flags)
    assert spread(pixels) > 15, "nothing is drawn"
    assert bool(np.median(pixels) > 200) is bright
    colours = len(np.unique(pixels[::3, ::3].reshape(-1, 3), axis=0))
    assert colours > 100, "no charts"


@pytest.mark.parametrize("width", [360, 390, 800, 1280])
def test_nothing_reaches_over_the_edge(page: Path, tmp_path: Path, width: int) -> None:
    outer = framed(page, tmp_path, width)
    dumped = browse(outer, tmp_path, "--dump-dom", "--virtual-time-budget=4000", "--window-size=1400,3000")
    seen = re.search(r'data-seen="([^"]*)"', dumped)
    assert seen is not None, "the page did not load"
    found = json.loads(seen[1].replace("&quot;", '"'))
    assert found == {"width": width, "needed": width, "wide": []}


def requests_of(page: Path, folder: Path) -> list[str]:
    """Addresses that the page itself asked for: the browser's own requests have no origin."""
    log = folder / "net.json"
    browse(page, folder, f"--log-net-log={log}", "--dump-dom", "--virtual-time-budget=3000")
    asked = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    found = {str(p["url"]) for p in asked if p.get("url") and p.get("initiator", "not an origin") != "not an origin"}
    return sorted(url for url in found if url.startswith(("http", "ws")))


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
    probe = """<script>
      const head = [...document.querySelectorAll(".sortable th")].find(h => h.textContent.includes("p50"));
      const rows = () => [...document.querySelectorAll(".sortable tbody tr")];
      const column = () => rows().map(r => Number(r.cells[head.cellIndex].dataset.sort));
      head.click(); const up = column(); head.click(); const down = column();
      const rising = up.every((v, k) => !k || v >= up[k - 1]), falling = down.every((v, k) => !k || v <= down[k - 1]);
      const count = (what) => document.querySelectorAll(what).length;
      const tips = count("[data-tip]"), titles = count("svg title");
      document.body.dataset.order = [rising, falling, tips > 50, titles].join();
    </script></body>"""
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    dumped = browse(probed, tmp_path, "--dump-dom", "--virtual-time-budget=2000")
    assert 'data-order="true,true,true,0"' in dumped
