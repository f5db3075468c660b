"""What machine this is: for trial.json, for a trial's identity, and for deciding who runs on which CPU."""

from __future__ import annotations

import functools
import os
import platform
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from yapbench.monitoring.gpu import Gpu, Gpus

_GIB = 1 << 30


@dataclass(frozen=True)
class Machine:
    """A machine as far as it can explain a result."""

    cpu_model: str
    cores: int
    """Logical CPUs that this process may use, a container's CPU limit included."""
    memory_bytes: int
    """Of the machine, or a container's limit if that is less."""
    os: str
    kernel: str
    virtualization: str
    """"none", a hypervisor's or container's name, or "" where it cannot be told cheaply."""
    gpus: tuple[Gpu, ...]


def fingerprint() -> dict[str, Any]:
    """This machine, fit for JSON."""
    return asdict(this_machine())


def machine_class(machine: Machine | None = None) -> str:
    """A short text that stays the same while results stay comparable: CPU, cores, memory in GiB, GPUs."""
    machine = machine or this_machine()
    gpus = [f"{gpu.name} {round(gpu.memory_bytes / _GIB)} GiB" for gpu in machine.gpus]
    memory = f"{round(machine.memory_bytes / _GIB)} GiB"
    return " | ".join([machine.cpu_model, f"{machine.cores} cores", memory, *sorted(gpus)])


def this_machine() -> Machine:
    """As much of it as this process may use; looked at once for each choice of CPUs and GPUs."""
    cpus = frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else frozenset[int]()
    return _look(cpus, os.environ.get("CUDA_VISIBLE_DEVICES"))


@functools.cache
def _look(_cpus: frozenset[int], visible: str | None) -> Machine:
    gpus = Gpus.open()
    try:
        cards = gpus.describe() if gpus else []
        if gpus and visible:  # hiding all of them is how a run on the CPU is asked for: the machine stays what it is
            cards = [cards[index] for index in gpus.visible(visible)]
    finally:
        if gpus:
            gpus.close()
    return Machine(
        cpu_model=_cpu_model(),
        cores=_cores(),
        memory_bytes=min(psutil.virtual_memory().total, _container_memory() or sys.maxsize),
        os=_os(),
        kernel=platform.release(),
        virtualization=_virtualization(),
        gpus=tuple(cards),
    )


def boot_id() -> str:
    """Another one after each boot; on systems without it, the time of booting."""
    return _read("/proc/sys/kernel/random/boot_id") or f"boot-{psutil.boot_time():.0f}"


def clock_anchor() -> dict[str, Any]:
    """{"boot_id", "wall_ns", "monotonic_ns"}: one instant on both clocks, the closest of a few readings."""
    readings = []
    for _ in range(5):
        before_ns, wall_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, wall_ns, (before_ns + after_ns) // 2))
    _, wall_ns, monotonic_ns = min(readings)
    return {"boot_id": boot_id(), "wall_ns": wall_ns, "monotonic_ns": monotonic_ns}


@dataclass(frozen=True)
class Pinning:
    """Which CPUs server and load worker get; None: whichever the system gives them, and why."""

    server_cpus: list[int] | None
    worker_cpus: list[int] | None
    reason: str


def pinning(
    cpus: Collection[int] | None = None, *, siblings: Callable[[int], Collection[int]] | None = None
) -> Pinning:
    """Disjoint CPUs for server and worker: a whole core (with its hyper-threads) of every eight, at least one.

    With fewer than four cores both would lose more than they win. `cpus`: those this process may use.
    """
    if cpus is None:
        cpus = os.sched_getaffinity(0) if sys.platform == "linux" else ()
    if not cpus:
        return Pinning(None, None, f"{sys.platform} cannot pin")
    cores: dict[int, list[int]] = {}
    for cpu in sorted(cpus):
        cores.setdefault(min((siblings or siblings_of)(cpu), default=cpu), []).append(cpu)
    if len(cores) < 4:
        return Pinning(None, None, f"{len(cores)} cores are too few to give the load worker its own")
    names = list(cores)
    taken = names[-max(1, len(names) // 8) :]
    worker = sorted(cpu for name in taken for cpu in cores[name])
    server = sorted(set(cpus) - set(worker))
    return Pinning(server, worker, f"{len(taken)} of {len(names)} cores for the load worker")


def siblings_of(cpu: int) -> list[int]:
    """The CPUs that are hyper-threads of one core, `cpu` among them; [] where it cannot be told."""
    text = _read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Processor", "cpu model"):
            return " ".join(value.split())
    return platform.processor() or platform.machine()  # aarch64 names no model there


def _cores() -> int:
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        usable = min(usable, max(1, round(int(quota) / int(period))))
    return usable


def _container_memory() -> int | None:
    limit = _read("/sys/fs/cgroup/memory.max")
    return int(limit) if limit.isdigit() else None


def _os() -> str:
    if sys.platform != "linux":
        return platform.platform(terse=True)
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


def _virtualization() -> str:
    if sys.platform != "linux":
        return ""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    if "microsoft" in platform.release().lower():
        return "wsl"
    flags = next((line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("flags")), "")
    if "hypervisor" in flags.split():
        return _read("/sys/class/dmi/id/sys_vendor") or "virtual machine"
    return "none" if flags else ""


def _read(path: str) -> str:
    """A small system file, stripped; "" where it is not."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
