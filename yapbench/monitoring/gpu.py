"""GPUs through NVML, or their absence. A metric the card does not offer is left out, never zero.

In a container NVML may know processes by other numbers, or none at all: then nothing is said about processes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Gpu:
    """One card, as it goes into a machine's fingerprint."""

    name: str
    memory_bytes: int
    driver: str


class Gpus:
    """The machine's cards. Made by `open`; `close` when done."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._handles: list[Any] = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]

    @classmethod
    def open(cls) -> Self | None:
        """The cards, or None: no driver, no library, no permission, no card."""
        import pynvml

        try:
            pynvml.nvmlInit()
            found = cls(pynvml)
        except pynvml.NVMLError:
            return None
        return found if len(found) else None

    def __len__(self) -> int:
        return len(self._handles)

    def close(self) -> None:
        self._nvml.nvmlShutdown()

    @property
    def cuda_version(self) -> tuple[int, int] | None:
        """The newest CUDA that the driver knows, as (13, 0); None when it does not say."""
        number = self._ask(self._nvml.nvmlSystemGetCudaDriverVersion_v2)
        return None if number is None else (number // 1000, number % 1000 // 10)

    def describe(self) -> list[Gpu]:
        """What is built in."""
        nvml = self._nvml
        driver = _text(nvml.nvmlSystemGetDriverVersion())
        return [
            Gpu(_text(nvml.nvmlDeviceGetName(handle)), int(nvml.nvmlDeviceGetMemoryInfo(handle).total), driver)
            for handle in self._handles
        ]

    def visible(self, variable: str) -> list[int]:
        """Indices of the cards that a CUDA_VISIBLE_DEVICES leaves, in its order; all where one is not known here."""
        words = [word for word in (part.strip() for part in variable.split(",")) if word]
        by_uuid = {} if all(word.isdecimal() for word in words) else self._uuids()
        found = []
        for word in words:
            # As CUDA does, the first letters of a UUID are enough.
            same = [index for uuid, index in by_uuid.items() if uuid.startswith(word)]
            chosen = int(word) if word.isdecimal() else same[0] if len(same) == 1 else len(self)
            if chosen >= len(self):
                return list(range(len(self)))
            found.append(chosen)
        return found

    def _uuids(self) -> dict[str, int]:
        found = {}
        for index, handle in enumerate(self._handles):
            uuid = self._ask(functools.partial(self._nvml.nvmlDeviceGetUUID, handle))
            if uuid:
                found[_text(uuid)] = index
        return found

    def memory_by_pid(self, index: int) -> dict[int, int]:
        """Bytes that each process holds on a card; 0 where NVML knows the process but not its memory."""
        query = self._nvml.nvmlDeviceGetComputeRunningProcesses
        found = self._ask(lambda: query(self._handles[index])) or []
        return {int(entry.pid): int(entry.usedGpuMemory or 0) for entry in found}

    def used_by(self, pids: Iterable[int]) -> set[int]:
        """Indices of the cards on which one of these processes runs."""
        wanted = set(pids)
        return {index for index in range(len(self)) if wanted & self.memory_by_pid(index).keys()}

    def sample(self, index: int, pids: Iterable[int]) -> dict[str, float]:
        """Metric -> value of a card now; `vram_server_bytes` only when one of `pids` is seen on it."""
        nvml, handle = self._nvml, self._handles[index]
        questions: dict[str, Callable[[], float]] = {
            "util_percent": lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
            "vram_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
            "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
            "energy_mj": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle),
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        }
        found = {metric: self._ask(question) for metric, question in questions.items()}
        values = {metric: float(value) for metric, value in found.items() if value is not None}
        memory = self.memory_by_pid(index)
        own = [memory[pid] for pid in pids if pid in memory]
        return values | ({"vram_server_bytes": float(sum(own))} if own else {})

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._nvml.NVMLError:  # not supported by this card, in this mode, for this user
            return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
