"""A Chromium of a test's own, driven over its DevTools protocol: one page, and what it asked for and complained about.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.browser.chromium import CHROMIUM, FLAGS

PATIENCE_S = 40.0


class Page:
    """One tab. What comes in between answers is kept: `requests` (addresses) and `complaints` (errors of scripts
    and breaches of the page's policy)."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._count = socket, 0
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command's answer; raises AssertionError with what the browser says against it."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while (row := json.loads(self._socket.recv(PATIENCE_S))).get("id") != self._count:
            self._note(row)
        assert "error" not in row, f"{method}: {row['error']}"
        result: dict[str, Any] = row["result"]
        return result

    def open(self, url: str) -> None:
        """And wait until its scripts have run."""
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && Boolean(document.body.dataset.state)")

    def look(self, script: str) -> Any:
        """The value of an expression in the page, awaited where it is a promise."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str, *, within_s: float = PATIENCE_S) -> Any:
        """The expression's value as soon as it is true."""
        end_s = time.monotonic() + within_s
        while not (found := self.look(script)):
            assert time.monotonic() < end_s, f"{script} did not come true; the page shows:\n{self.text('main')}"
            time.sleep(0.05)
        return found

    def wait(self, condition: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
        """For something outside the page that it brings about."""
        end_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end_s, f"it did not come true; the page shows:\n{self.text('main')}"
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """What is shown there, white space folded."""
        return " ".join(str(self.look(f"document.querySelector({json.dumps(selector)}).innerText")).split())

    def click(self, selector: str) -> None:
        self.look(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key: str, code: int) -> None:
        """On whatever has the focus, as a keyboard does; `code` is the virtual key's."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            parameters = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", **parameters, **(text if kind == "keyDown" else {}))

    def choose(self, selector: str, file: Path) -> None:
        """`file` in a file field, as if picked by hand."""
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.call("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def theme(self, name: str) -> None:
        """light or dark."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self) -> bytes:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def _note(self, row: dict[str, Any]) -> None:
        method, given = row.get("method", ""), row.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(given["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif method == "Log.entryAdded" and given["entry"]["level"] == "error" and not _is_an_answer(given["entry"]):
            self.complaints.append(given["entry"]["text"])


def _is_an_answer(entry: dict[str, Any]) -> bool:
    """The browser's own line on an answer such as 401, or on a connection that ended: no fault of the page."""
    return bool(entry["source"] == "network")


@contextmanager
def open_page(folder: Path, *flags: str) -> Iterator[Page]:
    """A browser with a new profile in `folder`; it and all of its processes are gone afterwards."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", *flags, "about:blank"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True) as process:
        try:
            with connect(_address(profile / "DevToolsActivePort"), max_size=None, proxy=None) as socket:
                yield Page(socket)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _address(file: Path) -> str:
    """Of the page, once the browser has written where it listens."""
    end_s = time.monotonic() + PATIENCE_S
    while not file.exists() or not file.read_text(encoding="utf-8"):
        assert time.monotonic() < end_s, "the browser did not start"
        time.sleep(0.05)
    port = file.read_text(encoding="utf-8").split()[0]
    with httpx.Client(trust_env=False) as client:
        listed = client.get(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S).json()
    return next(str(row["webSocketDebuggerUrl"]) for row in listed if row["type"] == "page")
