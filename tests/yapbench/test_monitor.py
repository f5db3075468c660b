"""Samples of real processes, and of made-up cards where there are none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest

from tests.yapbench.processes import command, new_mark, wait_for
from yapbench import process, store
from yapbench.monitoring import monitor as module
from yapbench.monitoring.gpu import Gpu, Gpus
from yapbench.monitoring.monitor import Monitor
from yapbench.schema import MACHINE

BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
PARENT = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {BUSY!r}])\ntime.sleep(60)\n"


def no_gpus() -> Gpus | None:
    return None


def values(monitor: Monitor, source: str, metric: str) -> list[float]:
    return [r["value"] for r in monitor.rows() if (r["source"], r["metric"]) == (source, metric)]


@pytest.mark.slow
def test_rows_of_a_server_fit_the_schema_and_tell_its_queue(tmp_path: Path) -> None:
    with process.start(command(new_mark()), log_path=tmp_path / "log") as server:
        with Monitor(server, interval_s=0.05) as monitor:
            assert wait_for(lambda: values(monitor, "server", "queue_depth"), 10)
            shown = monitor.now()
        own = psutil.Process(server.pid).memory_info().rss
        assert values(monitor, "server", "rss_bytes")[-1] >= own / 2
    assert shown["queue_depth"] == 3 and shown["rss_mib"] > 1 and shown["cpu_percent"] >= 0
    store.write_table(tmp_path / "machine.parquet", monitor.rows(), MACHINE)
    table = pd.read_parquet(tmp_path / "machine.parquet")
    assert table["at_ns"].is_monotonic_increasing
    assert {"busy_s", "load1"} <= set(table[table["source"] == "machine"]["metric"])


def test_cpu_time_of_an_ended_child_stays_in_the_sum() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT]) as parent:
        top = psutil.Process(parent.pid)

        def tree() -> list[int]:
            return [parent.pid, *(child.pid for child in top.children(recursive=True))]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_LOOK_S", 0.05)
            with Monitor(tree, interval_s=0.05, open_gpus=no_gpus) as monitor:
                assert wait_for(lambda: max(values(monitor, "server", "cpu_s")) > 0.2 and len(tree()) == 1, 20)
        parent.kill()
    seen = values(monitor, "server", "cpu_s")
    assert seen == sorted(seen) and seen[-1] > 0.2


def test_a_watched_process_that_is_gone_is_no_error() -> None:
    with Monitor(lambda: [2**22 + 1], interval_s=0.01, open_gpus=no_gpus) as monitor:
        pass
    assert values(monitor, "server", "rss_bytes") == [0.0] * len(values(monitor, "server", "cpu_s"))
    assert not [row for row in monitor.rows() if row["source"].startswith("gpu")]


def test_counters_of_the_machine_never_fall() -> None:
    with Monitor(lambda: [os.getpid()], interval_s=0.02, open_gpus=no_gpus) as monitor:
        assert wait_for(lambda: len(values(monitor, "machine", "busy_s")) > 5, 10)
    for metric in ("busy_s", "steal_s", "pressure_cpu_some_us"):
        seen = values(monitor, "machine", metric)
        assert seen == sorted(seen)


def test_pressure_is_the_total_or_absent(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=1234\nfull avg10=0 total=9\n")
    (tmp_path / "empty").write_text("")
    assert module._pressure_us(tmp_path / "cpu") == 1234.0
    assert module._pressure_us(tmp_path / "empty") is None
    assert module._pressure_us(tmp_path / "none") is None


class MadeUpNvml:
    """Two cards; the second cannot tell its energy. `owner` holds 5 GiB on the second."""

    NVML_CLOCK_SM = 1
    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self.open = True

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{'xy'[handle]}7c1"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=40 + handle)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=80 << 30, used=7 << 30)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 123_000

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if handle == 1:
            raise self.NVMLError
        return 5

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:
        return 1980

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        mine = SimpleNamespace(pid=self._owner, usedGpuMemory=5 << 30)
        return [mine] if handle == 1 else [SimpleNamespace(pid=2**22 + 1, usedGpuMemory=None)]

    def nvmlSystemGetDriverVersion(self) -> str:
        return "555"

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"H1"

    def nvmlShutdown(self) -> None:
        self.open = False


def test_a_servers_own_cards_are_sampled() -> None:
    nvml = MadeUpNvml(os.getpid())
    with Monitor(lambda: [os.getpid()], interval_s=0.02, open_gpus=lambda: Gpus(nvml)) as monitor:
        assert wait_for(lambda: monitor.now(), 10)
        assert monitor.now()["vram_mib"] == 5 * 1024
    last = {r["metric"]: r["value"] for r in monitor.rows() if r["source"] == "gpu1"}
    assert last == {
        "util_percent": 41.0,
        "vram_used_bytes": 7 * 2**30,
        "power_w": 123.0,
        "sm_clock_mhz": 1980.0,
        "vram_server_bytes": 5 * 2**30,
    }
    assert not values(monitor, "gpu0", "power_w") and not nvml.open


def test_cards_may_be_named_instead() -> None:
    nvml = MadeUpNvml(os.getpid())
    with Monitor(lambda: [os.getpid()], gpu_ids=[0, 7], open_gpus=lambda: Gpus(nvml)) as monitor:
        pass
    assert values(monitor, "gpu0", "energy_mj") and not values(monitor, "gpu0", "vram_server_bytes")
    assert not values(monitor, "gpu1", "power_w") and not values(monitor, "gpu7", "power_w")


def test_a_process_on_no_card_has_no_card() -> None:
    with Monitor(lambda: [os.getpid()], open_gpus=lambda: Gpus(MadeUpNvml(1))) as monitor:
        pass
    assert {row["source"] for row in monitor.rows()} == {"server", "machine"}


@pytest.mark.parametrize(
    ("device", "visible", "cards"),
    [("cpu", "", []), ("cuda:1", "", [1]), ("cuda", "", [0, 1]), ("cuda:0", "1", [1]), ("cuda:0", "GPU-y", [1])],
)
def test_where_nvml_knows_no_process_the_servers_word_counts(
    monkeypatch: pytest.MonkeyPatch, device: str, visible: str, cards: list[int]
) -> None:
    class Told(process.Server):
        def status(self, *, timeout_s: float = 2.0) -> dict[str, Any]:
            return {"device": device}

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with Monitor(Told(name="", url="http://x"), open_gpus=lambda: Gpus(MadeUpNvml(1))) as monitor:
        pass
    assert sorted({r["source"] for r in monitor.rows()} - {"server", "machine"}) == [f"gpu{card}" for card in cards]


@pytest.mark.parametrize(
    ("variable", "cards"),
    [("1,0", [1, 0]), ("GPU-y7c1,GPU-x", [1, 0]), ("GPU-", [0, 1]), ("MIG-1", [0, 1]), ("9", [0, 1])],
)
def test_the_cards_that_are_visible_are_found_by_number_and_by_the_beginning_of_their_uuid(
    variable: str, cards: list[int]
) -> None:
    assert Gpus(MadeUpNvml(1)).visible(variable) == cards


def test_cards_are_described() -> None:
    assert Gpus(MadeUpNvml(1)).describe() == [Gpu("H1", 80 << 30, "555")] * 2


def test_real_nvml_answers_or_is_absent_without_fuss() -> None:
    gpus = Gpus.open()
    if gpus is not None:
        assert all(gpu.memory_bytes > 0 for gpu in gpus.describe())
        gpus.close()
