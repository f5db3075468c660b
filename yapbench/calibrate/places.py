"""Which CPUs the load generator and its target get while they are calibrated: never the same, where there are two.

Unlike a trial's server, the target may well be held back by having one CPU only: it is not what is measured.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from yapbench.machine import siblings_of


@dataclass(frozen=True)
class Places:
    """One CPU for the load process, others for its target and for whoever watches; `note` says what is wrong there."""

    target: tuple[int, ...]
    load: int
    note: str = ""

    @property
    def apart(self) -> bool:
        """The target cannot take the load's CPU away."""
        return self.load not in self.target

    @property
    def every(self) -> tuple[int, ...]:
        """All of them, ascending."""
        return tuple(sorted({*self.target, self.load}))


def places(cpus: Collection[int] | None = None, *, siblings: Callable[[int], Collection[int]] = siblings_of) -> Places:
    """The last core's first CPU for the load, the other cores for the target. `cpus`: those this process may use."""
    usable = sorted(os.sched_getaffinity(0) if cpus is None else cpus)
    if len(usable) == 1:
        note = f"one CPU only, {usable[0]}: load and target share it, so each delays the other"
        return Places((usable[0],), usable[0], note)
    own = {cpu: min(set(siblings(cpu)) & set(usable), default=cpu) for cpu in usable}
    load = max(own.values())
    target = tuple(cpu for cpu in usable if own[cpu] != load)
    if target:
        return Places(target, load)
    others = tuple(cpu for cpu in usable if cpu != load)
    return Places(others, load, "one core only: load and target are its hyper-threads and slow each other down")


@contextmanager
def kept_to(cpus: Collection[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile, on these CPUs; the watcher must not use the load's."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
