"""Runs one server's settings until the budget is spent: a trial, a round of the bare model, the next trial.

In this process, by the runner that notebooks call, not through papermill: a kernel of its own and the figures of an
executed notebook cost each trial some five seconds, a fifth of what a setting takes here, and the budget is the point.
The trial has the identity and the rows it would have had, so that `yapbench report` reads it and a sweep through
papermill counts it as finished; only its executed notebook is not there.
"""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from yapbench import machine, runner, store
from yapbench.benchgpu import summary
from yapbench.benchgpu.bare import Bare, BareFailed, write_clips
from yapbench.benchgpu.cells import Cell, Mode
from yapbench.benchgpu.declared import CHECKOUT, Bench
from yapbench.benchgpu.plan import Spent, limit_s
from yapbench.benchgpu.summary import Standing
from yapbench.errors import ServerError, UsageError, YapbenchError

CUTS = "cut"
"""Folder of notes on settings that were cut short: {"seconds"}."""


class TimeUp(Exception):
    """A setting has used the time it was given."""


class Session:
    """One server's grid in one folder. `run` goes on where an earlier session stopped, however that one ended."""

    def __init__(
        self,
        bench: Bench,
        cells: list[Cell],
        *,
        folder: Path,
        python: Path,
        bare_s: float,
        say: Callable[[str], None] = print,
        after_each: Callable[[], None] = lambda: None,
    ) -> None:
        self.bench, self.cells, self.folder = bench, cells, folder
        self._python, self._bare_s, self._say, self._after_each = python, bare_s, say, after_each
        self._bares: dict[Mode, tuple[Bare, dict[str, Any]] | str] = {}
        """Running, with what it runs on; or why there is none."""
        self._stack = ExitStack()

    def run(self, *, budget_s: float, ends_s: float) -> None:
        """Run settings until `ends_s` (time.monotonic). Raises UsageError when the bare model cannot run at all."""
        for name in (summary.BARE, CUTS):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        clips = self.folder / "clips.npz"
        write_clips(self.cells[0].trial.corpus, clips)
        with self._stack:
            while self._pass(clips, budget_s=budget_s, ends_s=ends_s):
                pass  # what was cut short may fit into what the others left

    def _pass(self, clips: Path, *, budget_s: float, ends_s: float) -> bool:
        """Once over all settings that are not complete; whether one of them was begun."""
        begun = False
        for number, cell in enumerate(self.cells, start=1):
            if self._complete(cell):
                continue
            left_s, spent = ends_s - time.monotonic(), self._spent()[cell.is_dear]
            given_s = limit_s(spent, left_s=left_s, budget_s=budget_s, weight=cell.weight)
            if given_s is None:
                continue
            begun = True
            ended = self._run(cell, clips, given_s=given_s, ends_s=ends_s)
            self._say(f"[{number}/{len(self.cells)}] {cell.words}: {ended}")
            self._after_each()
        return begun

    def standing(self) -> Standing:
        """How far the grid has come, read from its folder."""
        infos = {
            cell.trial_id: store.read_info(self.folder / cell.trial_id)
            for cell in self.cells
            if store.finished(self.folder / cell.trial_id)
        }
        return Standing(self.cells, infos, {key: s for key, s in self._cuts().items() if key not in infos})

    def _spent(self) -> dict[bool, Spent]:
        """What settings took so far, by weight, dear ones apart. A failed one does not tell what others take."""
        ended: dict[bool, list[float]] = defaultdict(list)
        cut: dict[bool, list[float]] = defaultdict(list)
        standing = self.standing()
        for cell in self.cells:
            info = standing.infos.get(cell.trial_id)
            if info is not None and info["status"] == "done":
                beside = self._round_of(cell)
                bare_s = store.read_json(beside)["wall_s"] if beside.exists() else 0.0
                ended[cell.is_dear].append((float(info["duration_s"]) + bare_s) / cell.weight)
            elif cell.trial_id in standing.cuts:
                cut[cell.is_dear].append(standing.cuts[cell.trial_id] / cell.weight)
        return {dear: Spent(tuple(ended[dear]), tuple(cut[dear])) for dear in (False, True)}

    def _cuts(self) -> dict[str, float]:
        return {path.stem: float(store.read_json(path)["seconds"]) for path in (self.folder / CUTS).glob("*.json")}

    def _complete(self, cell: Cell) -> bool:
        """The setting has ended and the bare model had its round; one that failed has nothing to compare."""
        folder = self.folder / cell.trial_id
        if not store.finished(folder):
            return False
        return store.read_info(folder)["status"] == "failed" or self._round_of(cell).exists()

    def _round_of(self, cell: Cell) -> Path:
        return summary.round_path(self.folder, cell)

    def _run(self, cell: Cell, clips: Path, *, given_s: float, ends_s: float) -> str:
        """Run a setting, unless it has ended before, and a round of the bare model beside it; say how it ended."""
        began_s, ended = time.monotonic(), "done before"
        try:
            with time_limit(given_s):
                self._bare_of(cell, clips, timeout_s=given_s)
                if not store.finished(self.folder / cell.trial_id):
                    ended = self._trial(cell)
            left_s = max(0.001, ends_s - time.monotonic())  # the share of an unknown setting does not bind its round
            with time_limit(left_s):
                if not self._complete(cell):
                    self._round(cell, timeout_s=left_s)
        except TimeUp:
            self._drop(cell.mode)
            if store.finished(self.folder / cell.trial_id):
                return f"{ended}, but no time was left for the bare model"
            seconds = time.monotonic() - began_s
            store.write_json(self.folder / CUTS / f"{cell.trial_id}.json", {"seconds": round(seconds, 3)})
            return f"cut short after {seconds:.0f} s"
        return f"{ended}, {time.monotonic() - began_s:.1f} s"

    def _trial(self, cell: Cell) -> str:
        folder = self.folder / cell.trial_id
        try:
            with runner.Run.from_parameters(
                cell.bench.server, cell.notebook, {**cell.parameters, "out_dir": str(folder)}
            ) as run:
                run.start()
                run.measure()
        except ServerError as failure:  # stored as the trial's result by the runner
            return f"FAILED: {failure.message.splitlines()[0]}"
        except UsageError:
            raise
        except YapbenchError as failure:
            runner.record_failure(cell.trial, folder, code="trial_failed", message=str(failure))
            return f"FAILED: {str(failure).splitlines()[0]}"
        summary.read_summary(folder)  # now, a second each, and not all of them when the time is over
        return "done"

    def _bare_of(self, cell: Cell, clips: Path, *, timeout_s: float) -> None:
        """Have the bare model of the setting's mode running, before anything is measured."""
        if cell.mode in self._bares:
            return
        bare = self._stack.enter_context(
            Bare(
                CHECKOUT / self.bench.bare,
                python=self._python,
                mode=dict(cell.mode),
                clips=clips,
                checkout=CHECKOUT,
                log_path=self.folder / summary.BARE / "bare.log",
                cpus=machine.pinning().server_cpus,
            )
        )
        try:
            self._bares[cell.mode] = bare, bare.facts(timeout_s=timeout_s)
        except BareFailed as failure:
            bare.stop()
            if not self._bares:
                raise UsageError(f"the bare model cannot run here: {failure}") from failure
            self._bares[cell.mode] = str(failure)
        except TimeUp:
            bare.stop()
            raise

    def _drop(self, mode: Mode) -> None:
        """An answer may still be on its way: the next question needs a process of its own."""
        running = self._bares.pop(mode, "")
        if not isinstance(running, str):
            running[0].stop()

    def _round(self, cell: Cell, *, timeout_s: float) -> None:
        """One round of the bare model, stored beside the trial it followed."""
        began_s, bare = time.monotonic(), self._bares[cell.mode]
        mode = dict(cell.mode)
        found: dict[str, Any] = {"trial_id": cell.trial_id, "mode": mode, "graphs": bool(mode.get("cuda_graphs"))}
        if isinstance(bare, str):
            found["error"] = bare
        else:
            process, facts = bare
            found |= {"facts": facts, "dtype": facts.get("dtype")}
            try:
                found["sizes"] = process.ask(cell.batch_sizes, seconds=self._bare_s, timeout_s=timeout_s)
            except BareFailed as failure:
                found["error"] = self._bares[cell.mode] = str(failure)
        found["wall_s"] = round(time.monotonic() - began_s, 3)
        store.write_json(self._round_of(cell), found)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the main thread after so many seconds, wherever it is."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
