"""Chromium on a page: what is drawn of it, what reaches over its edge, what a script finds in it, what it asks for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

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
MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]
"""What every module of such tests is marked with."""
THEMES = pytest.mark.parametrize(("flags", "bright"), [((), True), ((DARK,), False)], ids=["light", "dark"])
"""What the reader's system asks for, as flags of the browser, and whether the page is then bright."""


def browse(page: Path, folder: Path, *flags: str) -> str:
    """Run Chromium once on `page` with a new profile; returns what it printed."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    return done.stdout


def probed(page: Path, folder: Path, script: str) -> str:
    """The page's elements as they are once `script`, which stands at the end of its body, has run."""
    file = folder / "probed.html"
    text = page.read_text(encoding="utf-8").replace("</body>", f"<script>{script}</script></body>")
    file.write_text(text, encoding="utf-8")
    return browse(file, folder, "--dump-dom", "--virtual-time-budget=2000")


def picture(page: Path, folder: Path, *flags: str, size: tuple[int, int] = (1280, 2400)) -> np.ndarray:
    """A screenshot as (height, width, 3) uint8."""
    file = folder / "page.png"
    browse(page, folder, f"--screenshot={file}", f"--window-size={size[0]},{size[1]}", *flags)
    return np.asarray(Image.open(file).convert("RGB"))


def check_drawn(page: Path, folder: Path, flags: tuple[str, ...], *, bright: bool) -> np.ndarray:
    """Fails unless the page is drawn with its charts in one of THEMES; its pixels as of `picture`."""
    pixels = picture(page, folder, *flags)
    assert bool(np.median(pixels) > 200) is bright
    assert len(np.unique(pixels[::3, ::3].reshape(-1, 3), axis=0)) > 100, "no charts"
    return pixels


def _framed(page: Path, folder: Path, width: int) -> Path:
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


def reach(page: Path, folder: Path, width: int) -> dict[str, Any]:
    """In a frame of `width` pixels: its `width`, the `needed` one, and the elements too `wide` for it."""
    dumped = browse(
        _framed(page, folder, width), folder, "--dump-dom", "--virtual-time-budget=4000", "--window-size=1400,3000"
    )
    seen = re.search(r'data-seen="([^"]*)"', dumped)
    assert seen is not None, "the page did not load"
    found: dict[str, Any] = json.loads(seen[1].replace("&quot;", '"'))
    return found


def requests_of(page: Path, folder: Path) -> list[str]:
    """Addresses that the page itself asked for: the browser's own requests have no origin."""
    log = folder / "net.json"
    browse(page, folder, f"--log-net-log={log}", "--dump-dom", "--virtual-time-budget=3000")
    asked = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    found = {str(p["url"]) for p in asked if p.get("url") and p.get("initiator", "not an origin") != "not an origin"}
    return sorted(url for url in found if url.startswith(("http", "ws")))
