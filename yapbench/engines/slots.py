"""Slots of a machine: which GPUs and CPUs a run gets, so that runs side by side share neither.

Pure division, and the one block that puts a process into its slot. Starts nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from servers.common.devices import HIDING
from yapbench import machine
from yapbench.engines import leftovers
from yapbench.errors import UsageError
from yapbench.monitoring.gpu import Gpus
from yapbench.process import SLOT_MARK

GPUS: Final = "YAPBENCH_GPUS"
"""Environment variable: which GPUs sweeps may use, in the words of CUDA_VISIBLE_DEVICES ("0,1")."""

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Slot:
    """Where one run at a time goes. None: what this process has itself."""

    gpus: tuple[str, ...] | None = None
    """Words for CUDA_VISIBLE_DEVICES: numbers in the order of the bus, or UUIDs."""
    cpus: tuple[int, ...] | None = None

    @property
    def words(self) -> str:
        return f"GPU {','.join(self.gpus)}" if self.gpus else ""

    def environment(self) -> dict[str, str]:
        """The variables that show a process this slot's GPUs and no other. NVML counts as the bus does, CUDA only if
        told so."""
        if self.gpus is None:
            return {}
        return {VISIBLE: ",".join(self.gpus), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread, and what it starts, runs in the slot while the block lasts; waits for what is left there."""
        words = ",".join(self.gpus or ())
        leftovers.wait_until_gone(words)
        chosen = self.environment() | {SLOT_MARK: leftovers.mark(words)}
        before = {name: os.environ.get(name) for name in chosen}
        cpus = os.sched_getaffinity(0) if self.cpus and sys.platform == "linux" else None
        os.environ.update(chosen)
        try:
            if self.cpus and cpus is not None:
                os.sched_setaffinity(0, self.cpus)
            yield
        finally:
            if cpus is not None:
                os.sched_setaffinity(0, cpus)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def usable_gpus(environment: Mapping[str, str] | None = None, *, count: Callable[[], int] | None = None) -> list[str]:
    """The GPUs that sweeps may use: YAPBENCH_GPUS, else those that CUDA_VISIBLE_DEVICES leaves, else all there are.

    Raises UsageError for one that is named twice, or that CUDA_VISIBLE_DEVICES hides.
    """
    environment = os.environ if environment is None else environment
    visible, asked = environment.get(VISIBLE), environment.get(GPUS)
    shown = None if visible is None else [] if visible in HIDING else _words(visible)
    if asked is None:
        return [str(index) for index in range((count or _count)())] if shown is None else shown
    chosen = _words(asked)
    for word in chosen:
        if chosen.count(word) > 1:
            raise UsageError(f"{GPUS}={asked}: {word} is named twice")
        if shown is not None and word not in shown:
            raise UsageError(f"{GPUS}={asked}: {word} is not among {VISIBLE}={visible}")
    return chosen


def divided(
    gpus: Sequence[str], cpus: Collection[int], *, gpus_per_run: int = 1, siblings: Callable[[int], Collection[int]]
) -> list[Slot]:
    """As many slots as there are groups of `gpus_per_run` GPUs, each with the same number of whole cores of its own.

    With fewer cores than slots the CPUs are shared: then `cpus` is None. Raises UsageError for more GPUs a run than
    there are.
    """
    if not 1 <= gpus_per_run <= len(gpus):
        raise UsageError(f"--gpus-per-run={gpus_per_run}: from 1 to the {len(gpus)} GPUs that sweeps may use here")
    count = len(gpus) // gpus_per_run
    groups = [tuple(gpus[k * gpus_per_run : (k + 1) * gpus_per_run]) for k in range(count)]
    return [Slot(group, part) for group, part in zip(groups, cpu_parts(cpus, count, siblings=siblings), strict=True)]


def cpu_parts(
    cpus: Collection[int], count: int, *, siblings: Callable[[int], Collection[int]]
) -> list[tuple[int, ...] | None]:
    """`cpus` in `count` parts of equally many whole cores, neighbours together; [None] * count where there are fewer.

    What is left over is nobody's: equal parts make equal machines.
    """
    cores: dict[int, list[int]] = {}
    for cpu in sorted(cpus):
        cores.setdefault(min(siblings(cpu), default=cpu), []).append(cpu)
    each = len(cores) // count
    if not each:
        return [None] * count
    names = list(cores)
    # Cores may differ in their threads; the part with the fewest says how many a slot gets.
    parts = [sorted(cpu for name in names[k * each : (k + 1) * each] for cpu in cores[name]) for k in range(count)]
    size = min(map(len, parts))
    return [tuple(part[:size]) for part in parts]


def of_this_machine(*, on_gpu: bool, jobs: int | None, gpus_per_run: int | None = None) -> list[Slot]:
    """The slots of this machine for runs that want a GPU, or for those that do not.

    `jobs`: runs at a time; None: one for each GPU, one where there is none. More of them than slots share everything.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs={jobs}: at least 1")
    gpus = usable_gpus() if on_gpu and gpus_per_run != 0 else []
    named = gpus_per_run is not None or GPUS in os.environ
    if not gpus and gpus_per_run and on_gpu:
        raise UsageError(f"--gpus-per-run={gpus_per_run}: no GPU that sweeps may use was found here")
    if not gpus or (not named and (len(gpus) == 1 or jobs == 1)):
        return [Slot()] * (jobs or 1)
    found = divided(gpus, _own_cpus(), gpus_per_run=gpus_per_run or 1, siblings=machine.siblings_of)
    if len(found) == 1:
        found = [Slot(found[0].gpus)]
    if jobs is None or jobs <= len(found):
        return found[:jobs]
    return [Slot()] * jobs


def shared(slots: Sequence[Slot]) -> bool:
    """Whether runs side by side would disturb each other."""
    return len(slots) > 1 and any(slot.cpus is None for slot in slots)


def _own_cpus() -> Collection[int]:
    """CPUs that can be given away; none where a container's limit lets fewer of them run than are seen."""
    if sys.platform != "linux":
        return ()
    seen = os.sched_getaffinity(0)
    return seen if machine.this_machine().cores >= len(seen) else ()


def _words(text: str) -> list[str]:
    return [word for word in (part.strip() for part in text.split(",")) if word]


def _count() -> int:
    gpus = Gpus.open()
    if gpus is None:
        return 0
    try:
        return len(gpus)
    finally:
        gpus.close()
