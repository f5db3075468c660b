"""What a trial costs the machine: samples of the server's processes, the machine and its GPUs, as MACHINE rows.

Counters are stored as they stand (cumulative), gauges as read; nothing is derived. A source that this machine does
not offer has no rows. CPU time of a child that lives and dies between two looks at the process tree is missed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from yapbench.errors import ServerError
from yapbench.monitoring.gpu import Gpus
from yapbench.process import Server
from yapbench.schema import SCHEMA_VERSION

_LOOK_S = 1.0
"""How often the process tree and the server's queue are asked for: both cost more than a sample."""

_MIB = 1 << 20


class Monitor:
    """Samples in a thread of its own between `__enter__` and `__exit__`, once at each end in any case."""

    def __init__(
        self,
        watched: Callable[[], list[int]] | Server,
        *,
        interval_s: float = 0.2,
        gpu_ids: Sequence[int] | None = None,
        open_gpus: Callable[[], Gpus | None] = Gpus.open,
    ) -> None:
        """`watched`: a server, or what gives the pids to add up. `gpu_ids` instead of those its processes use."""
        self._server = watched if isinstance(watched, Server) else None
        self._watched = watched
        self._interval_s = interval_s
        self._gpu_ids = gpu_ids
        self._open_gpus = open_gpus
        self._gpus: Gpus | None = None
        self._used_gpus: set[int] = set()
        self._declared_gpus: list[int] = []
        self._tree: dict[int, psutil.Process] = {}
        self._cpu_s: dict[int, float] = {}
        self._rows: list[dict[str, Any]] = []
        self._latest: list[tuple[int, dict[str, float]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def rows(self) -> list[dict[str, Any]]:
        """Every sample so far, as rows of `schema.MACHINE`, in order of time."""
        return list(self._rows)

    def now(self) -> dict[str, float]:
        """The latest state for people: cpu_percent (100 = one core), rss_mib, threads, queue_depth, vram_mib."""
        latest = list(self._latest)
        if len(latest) < 2:
            return {}
        (before_ns, before), (at_ns, last) = latest
        percent = 100e9 * (last["cpu_s"] - before["cpu_s"]) / max(1, at_ns - before_ns)
        shown = {"cpu_percent": percent, "rss_mib": last["rss_bytes"] / _MIB}
        shown |= {name: last[name] for name in ("threads", "queue_depth") if name in last}
        return shown | ({"vram_mib": last["vram_bytes"] / _MIB} if "vram_bytes" in last else {})

    def __enter__(self) -> Self:
        self._gpus = self._open_gpus()
        self._declared_gpus = self._gpus_of_device() if self._gpus else []
        self._look()
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._gpus:
            self._gpus.close()

    def _run(self) -> None:
        looked_s = due_s = time.monotonic()
        while not self._stop.is_set():
            due_s = max(due_s + self._interval_s, time.monotonic())  # a late sample does not bring a burst after it
            self._stop.wait(due_s - time.monotonic())
            queue_depth = None
            if time.monotonic() - looked_s >= _LOOK_S or self._stop.is_set():
                looked_s = time.monotonic()
                self._look()
                queue_depth = self._queue_depth()
            self._sample(queue_depth)

    def _look(self) -> None:
        """Who belongs to the server now, and on which cards it is."""
        if isinstance(self._watched, Server):
            found = {process.pid: process for process in self._watched.processes()}
        else:
            found = {}
            for pid in self._watched():
                try:
                    found[pid] = psutil.Process(pid)
                except psutil.NoSuchProcess:
                    continue
        self._tree = {pid: self._tree.get(pid, process) for pid, process in found.items()}
        if self._gpus and self._gpu_ids is None:
            self._used_gpus |= self._gpus.used_by(self._tree)

    def _sample(self, queue_depth: float | None = None) -> None:
        server = self._of_server()
        if queue_depth is not None:
            server["queue_depth"] = queue_depth
        found = {"server": server, "machine": _of_machine()}
        for index in self._sampled_gpus():
            assert self._gpus is not None
            found[f"gpu{index}"] = self._gpus.sample(index, self._tree)
        at_ns = time.monotonic_ns()
        self._rows += [
            {"schema_version": SCHEMA_VERSION, "at_ns": at_ns, "source": source, "metric": metric, "value": value}
            for source, metrics in found.items()
            for metric, value in metrics.items()
        ]
        vram = [v for metrics in found.values() for k, v in metrics.items() if k == "vram_server_bytes"]
        shown = server | ({"vram_bytes": sum(vram)} if vram else {})
        if queue_depth is None and self._latest and "queue_depth" in self._latest[-1][1]:
            shown["queue_depth"] = self._latest[-1][1]["queue_depth"]
        self._latest = [*self._latest[-1:], (at_ns, shown)]

    def _of_server(self) -> dict[str, float]:
        rss = threads = 0
        for pid, process in self._tree.items():
            try:
                with process.oneshot():
                    times, memory, count = process.cpu_times(), process.memory_info(), process.num_threads()
            except psutil.Error:  # it has ended: its last reading stays in the sum, so that the sum never falls
                continue
            self._cpu_s[pid] = times.user + times.system
            rss, threads = rss + memory.rss, threads + count
        return {"cpu_s": sum(self._cpu_s.values()), "rss_bytes": float(rss), "threads": float(threads)}

    def _queue_depth(self) -> float | None:
        if self._server is None:
            return None
        try:
            depth = self._server.status(timeout_s=0.5).get("queue_depth")
        except ServerError:
            return None
        return float(depth) if isinstance(depth, int | float) else None

    def _sampled_gpus(self) -> list[int]:
        if self._gpus is None:
            return []
        if self._gpu_ids is not None:
            return [index for index in self._gpu_ids if 0 <= index < len(self._gpus)]
        return sorted(self._used_gpus) or self._declared_gpus

    def _gpus_of_device(self) -> list[int]:
        """The cards by the server's own word ("cuda:1"): in a container NVML may not know its processes."""
        if self._server is None or self._gpus is None:
            return []
        try:
            device = str(self._server.status().get("device", ""))
        except ServerError:
            return []
        if not device.startswith("cuda"):
            return []
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        order = self._gpus.visible(visible) if visible else list(range(len(self._gpus)))
        number = device.partition(":")[2]
        return order[int(number) :][:1] if number.isdigit() else order


def _of_machine() -> dict[str, float]:
    """Cumulative seconds of the cores that this process may use: `busy_s` they worked, `steal_s` their host withheld.

    Of no others: what a run on other cores does there disturbs nobody here.
    """
    times = _cpu_times()
    busy = sum(getattr(one, name, 0.0) for one in times for name in ("user", "nice", "system", "irq", "softirq"))
    found = {"busy_s": busy, "load1": psutil.getloadavg()[0]}
    if hasattr(times[0], "steal"):
        found["steal_s"] = sum(one.steal for one in times)
    pressure = _pressure_us()
    return found if pressure is None else found | {"pressure_cpu_some_us": pressure}


def _cpu_times() -> list[Any]:
    """One entry for the machine, or one for each CPU where this process may not use them all."""
    own = os.sched_getaffinity(0) if sys.platform == "linux" else set()
    if not own or len(own) == psutil.cpu_count():
        return [psutil.cpu_times()]
    each = _online(psutil.cpu_times(percpu=True))
    return [each[cpu] for cpu in sorted(own) if cpu in each] or [psutil.cpu_times()]


def _online(times: Sequence[Any]) -> dict[int, Any]:
    """By the CPU's number: /proc/stat, from which psutil reads, leaves out those that are switched off."""
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    numbers = [int(line.split()[0][3:]) for line in lines if line.startswith("cpu") and line[3:4].isdigit()]
    return dict(zip(numbers, times, strict=False))


def _pressure_us(path: Path = Path("/proc/pressure/cpu")) -> float | None:
    """Microseconds in which some task waited for a CPU, since boot; None where the kernel does not say."""
    try:
        first = path.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
    fields = dict(word.split("=", 1) for word in first.split()[1:])
    return float(fields["total"]) if first.startswith("some") and "total" in fields else None
