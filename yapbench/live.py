"""What is happening right now, for people: a redrawn cell in a notebook and a small file for the sweep's own screen.

A display handle is updated in place, so an executed notebook keeps only the last state. Costs two updates a second.
"""

from __future__ import annotations

import html
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from yapbench import store
from yapbench.markup import Markup
from yapbench.monitoring.monitor import Monitor


class LiveStatus:
    """Shows the load's progress while it runs; outside IPython it writes only the file."""

    FILE: ClassVar = "progress.json"
    PERIOD_S: ClassVar = 0.5

    def __init__(self, folder: Path) -> None:
        self._path = folder / self.FILE
        self._monitor: Monitor | None = None
        self._handle: Any = None
        self._last_s = 0.0

    def watch(self, monitor: Monitor) -> None:
        """Show from now on what this monitor sees of the server too."""
        self._monitor = monitor

    def update(self, progress: Mapping[str, Any]) -> None:
        """Take one progress message of the load process; redraws at most twice a second, and always the last."""
        finished = progress.get("done") == progress.get("total")
        if time.monotonic() - self._last_s < self.PERIOD_S and not finished:
            return
        self._last_s = time.monotonic()
        store.write_json(self._path, dict(progress))
        if self._handle is not None:
            self._handle.update(Markup(self._rows(progress)))

    def _rows(self, progress: Mapping[str, Any]) -> str:
        facts = said(progress)
        if self._monitor is not None:
            facts |= {f"server: {name}": value for name, value in server_facts(self._monitor.now()).items()}
        cells = "".join(
            f"<tr><th style='text-align:left;padding-right:1.5em'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in facts.items()
        )
        done, total = int(progress.get("done") or 0), max(1, int(progress.get("total") or 1))
        bar = f"<progress value='{done}' max='{total}' style='width:24em'></progress>"
        return f"{bar}<table>{cells}</table>"

    def __enter__(self) -> Self:
        self._handle = _display_handle()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._path.unlink(missing_ok=True)


def said(progress: Mapping[str, Any]) -> dict[str, str]:
    """A progress message of the load process in words."""
    points, done, total = progress.get("points"), progress.get("done") or 0, progress.get("total")
    point = min(int(progress.get("points_done") or 0) + 1, int(points or 1))
    facts = {
        "load": f"{progress.get('level', 0):g}, {progress.get('phase', '')} (point {point} of {points or '?'})",
        "requests": f"{done} of {total}" if total else f"{done}",
        "failed": str(progress.get("failed") or 0),
    }
    if progress.get("p50_ms") is not None:
        facts["p50 so far"] = f"{progress['p50_ms']:.1f} ms"
    return facts


def server_facts(now: Mapping[str, float]) -> dict[str, str]:
    """A monitor's snapshot in words."""
    shown = {
        "cpu_percent": ("CPU", "%"),
        "rss_mib": ("memory", "MiB"),
        "vram_mib": ("GPU memory", "MiB"),
        "queue_depth": ("queue", "waiting"),
    }
    return {name: f"{now[key]:,.0f} {unit}" for key, (name, unit) in shown.items() if key in now}


def _display_handle() -> Any:
    """A display handle of the running IPython kernel, or None outside of one."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    if get_ipython() is None:
        return None
    return display(Markup("starting the load ..."), display_id=True)  # type: ignore[no-untyped-call]
