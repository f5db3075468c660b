"""What is said of this machine, and who gets which CPU."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench import machine
from yapbench.machine import Machine
from yapbench.monitoring.gpu import Gpu

BASE = Machine("CPU 9", 8, 32 << 30, "Debian", "6.1", "kvm", (Gpu("H1", 80 << 30, "555"),))


def test_this_machine_is_described_and_fits_json() -> None:
    found = machine.fingerprint()
    assert found["cpu_model"] and found["cores"] >= 1 and found["memory_bytes"] > 1 << 28
    assert json.loads(json.dumps(found)).keys() == found.keys()
    assert str(found["cores"]) in machine.machine_class()


def test_the_class_follows_what_changes_results_and_nothing_else() -> None:
    assert machine.machine_class(BASE) == "CPU 9 | 8 cores | 32 GiB | H1 80 GiB"
    same = replace(BASE, kernel="6.2", os="Ubuntu", memory_bytes=(32 << 30) - 5_000_000)
    assert machine.machine_class(same) == machine.machine_class(BASE)
    for other in (replace(BASE, cores=4), replace(BASE, gpus=()), replace(BASE, cpu_model="CPU 8")):
        assert machine.machine_class(other) != machine.machine_class(BASE)


def test_the_anchor_is_now_on_both_clocks() -> None:
    anchor = machine.clock_anchor()
    assert anchor["boot_id"] == machine.boot_id() != ""
    assert 0 <= time.monotonic_ns() - anchor["monotonic_ns"] < 60e9
    assert abs((time.time_ns() - anchor["wall_ns"]) - (time.monotonic_ns() - anchor["monotonic_ns"])) < 1e9


@given(cores=st.integers(1, 64), threads=st.integers(1, 2))
def test_pinning_gives_disjoint_whole_cores_or_nothing(cores: int, threads: int) -> None:
    cpus = list(range(cores * threads))
    pinned = machine.pinning(cpus, siblings=lambda cpu: range(cpu % cores, cores * threads, cores))
    if pinned.server_cpus is None or pinned.worker_cpus is None:
        assert cores < 4 and pinned.worker_cpus is None and "too few" in pinned.reason
        return
    assert sorted(pinned.server_cpus + pinned.worker_cpus) == cpus
    assert not {c % cores for c in pinned.server_cpus} & {c % cores for c in pinned.worker_cpus}
    assert len(pinned.server_cpus) >= 3 * len(pinned.worker_cpus)


@pytest.mark.skipif(sys.platform != "linux", reason="CPU topology is read from Linux")
def test_pinning_here_uses_only_cpus_that_are_ours() -> None:
    pinned = machine.pinning()
    assert pinned.reason
    assert set(pinned.server_cpus or []) | set(pinned.worker_cpus or []) <= os.sched_getaffinity(0)
