"""The one table of everything that runs now, on whatever engine; lines where nobody looks at a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from yapbench.engines.job import Engine, Running
from yapbench.live import said

_PERIOD_S = 0.5


@contextmanager
def live_table(console: Console, engine: Engine, words: Mapping[Path, str]) -> Iterator[None]:
    """Show what runs while the block lasts. `words`: a trial in a few words, by its folder."""
    stop = threading.Event()
    watch = _redraw if console.is_terminal else _lines
    watcher = threading.Thread(target=watch, args=(console, engine, words, stop), name="table", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def table(running: list[Running], words: Mapping[Path, str], *, now_s: float) -> Table:
    """A row for each run; those that wait for their place are counted below."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("where", "trial", "setting", "progress", "for"):
        shown.add_column(column)
    here = [one for one in running if one.where or one.progress]
    for one in here if here else running[:1]:
        state = ", ".join(f"{name} {value}" for name, value in said(one.progress).items()) if one.progress else "..."
        place = one.where or "this machine"
        shown.add_row(place, one.job.folder.name, words[one.job.folder], state, f"{now_s - one.began_s:.0f} s")
    if len(running) > max(1, len(here)):
        shown.caption = f"{len(running) - len(here)} wait for a place"
    return shown


def _redraw(console: Console, engine: Engine, words: Mapping[Path, str], stop: threading.Event) -> None:
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not stop.wait(_PERIOD_S):
            live.update(table(engine.running(), words, now_s=time.monotonic()), refresh=True)


def _lines(console: Console, engine: Engine, words: Mapping[Path, str], stop: threading.Event) -> None:
    """Where several places are in play: which run began where."""
    begun: set[tuple[Path, str, float]] = set()
    while not stop.wait(_PERIOD_S):
        for one in engine.running():
            key = (one.job.folder, one.where, one.began_s)
            if one.where and key not in begun:
                begun.add(key)
                console.print(f"{one.job.folder.name} {words[one.job.folder]}: begun on {one.where}", soft_wrap=True)
