"""Who gets which GPU and which CPUs: never two runs on one, and equal parts for all."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.engines import slots
from yapbench.engines.slots import Slot, cpu_parts, divided, of_this_machine, usable_gpus
from yapbench.errors import UsageError


@given(gpus=st.integers(1, 16), each=st.integers(1, 16), cores=st.integers(1, 128), threads=st.integers(1, 2))
def test_slots_share_neither_gpu_nor_core_and_are_of_equal_size(gpus: int, each: int, cores: int, threads: int) -> None:
    names, cpus = [str(k) for k in range(gpus)], range(cores * threads)
    if each > gpus:
        with pytest.raises(UsageError, match=f"from 1 to the {gpus} GPUs"):
            divided(names, cpus, gpus_per_run=each, siblings=lambda cpu: [cpu % cores])
        return
    found = divided(names, cpus, gpus_per_run=each, siblings=lambda cpu: [cpu % cores])
    taken = [gpu for slot in found for gpu in slot.gpus or ()]
    assert len(found) == gpus // each and len(set(taken)) == len(taken) == len(found) * each
    if cores < len(found):
        assert slots.shared(found) and all(slot.cpus is None for slot in found)
        return
    owners = [{cpu % cores for cpu in slot.cpus or ()} for slot in found]
    assert sum(map(len, owners)) == len(set().union(*owners))
    assert len({len(slot.cpus or ()) for slot in found}) == 1 and found[0].cpus
    assert not slots.shared(found)


def test_cores_of_unequal_threads_still_make_equal_parts() -> None:
    siblings = {0: [0, 1], 1: [0, 1], 2: [2], 3: [3]}
    parts = cpu_parts([0, 1, 2, 3], 3, siblings=lambda cpu: siblings[cpu])
    assert parts == [(0,), (2,), (3,)]


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, ["0", "1", "2"]),
        ({"YAPBENCH_GPUS": "0, 2"}, ["0", "2"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-a,1"}, ["GPU-a", "1"]),
        ({"CUDA_VISIBLE_DEVICES": "1,2", "YAPBENCH_GPUS": "2"}, ["2"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"YAPBENCH_GPUS": ""}, []),
    ],
)
def test_which_gpus_sweeps_may_use(environment: dict[str, str], found: list[str]) -> None:
    assert usable_gpus(environment, count=lambda: 3) == found


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"YAPBENCH_GPUS": "1,1"}, "1 is named twice"),
        ({"CUDA_VISIBLE_DEVICES": "0", "YAPBENCH_GPUS": "1"}, "1 is not among CUDA_VISIBLE_DEVICES=0"),
        ({"CUDA_VISIBLE_DEVICES": "-1", "YAPBENCH_GPUS": "0"}, "0 is not among"),
    ],
)
def test_a_gpu_named_twice_or_hidden_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        usable_gpus(environment, count=lambda: 3)


def test_without_a_gpu_there_is_one_slot_and_more_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAPBENCH_GPUS", "")
    assert of_this_machine(on_gpu=True, jobs=None) == [Slot()]
    assert of_this_machine(on_gpu=False, jobs=3) == [Slot()] * 3 and slots.shared([Slot()] * 3)
    for jobs, gpus_per_run, words in ((0, None, "--jobs=0: at least 1"), (None, 1, "no GPU that sweeps may use")):
        with pytest.raises(UsageError, match=words):
            of_this_machine(on_gpu=True, jobs=jobs, gpus_per_run=gpus_per_run)


def test_jobs_choose_among_the_gpus_and_more_than_those_share_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAPBENCH_GPUS", "0,1,2,3")
    all_of_them = of_this_machine(on_gpu=True, jobs=None)
    assert [slot.gpus for slot in all_of_them] == [("0",), ("1",), ("2",), ("3",)]
    assert of_this_machine(on_gpu=True, jobs=2) == all_of_them[:2]
    assert [s.gpus for s in of_this_machine(on_gpu=True, jobs=None, gpus_per_run=2)] == [("0", "1"), ("2", "3")]
    assert of_this_machine(on_gpu=True, jobs=5) == [Slot()] * 5
    assert of_this_machine(on_gpu=False, jobs=None) == [Slot()]


@pytest.mark.skipif(sys.platform != "linux", reason="CPU topology is read from Linux")
def test_a_slot_is_entered_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    before = os.sched_getaffinity(0)
    cpu = min(before)
    with Slot(("1",), (cpu,)).entered():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1" and os.sched_getaffinity(0) == {cpu}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1" and os.sched_getaffinity(0) == before
    assert "CUDA_DEVICE_ORDER" not in os.environ
