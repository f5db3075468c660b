"""What is said of cards, their driver and the PyTorch beside them. No GPU is needed: the answers are made up."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench.doctor_probes import GRAPHICS, TORCH
from yapbench.doctor import gpus
from yapbench.doctor.environments import wheel_findings
from yapbench.doctor.finding import Finding
from yapbench.doctor.gpus import Card, Graphics, Holder, Wheel

VERSIONS = st.tuples(st.integers(11, 14), st.integers(0, 9))


def of_wheel(wheel: Wheel, graphics: Graphics = GRAPHICS) -> Finding:
    (finding,) = wheel_findings([replace(TORCH, wheel=wheel)], graphics)
    return finding


def test_no_gpu_is_nothing_to_mend() -> None:
    (finding,) = gpus.findings(Graphics())
    assert finding.ok and "run on the CPU" in finding.what
    assert wheel_findings([TORCH], Graphics()) == []


def test_a_gpu_whose_driver_is_silent_is_a_note() -> None:
    (finding,) = gpus.findings(Graphics(has_device=True))
    assert not finding.ok and not finding.needed and "nvidia-smi" in finding.remedy


def test_hidden_gpus_are_said_to_be_hidden() -> None:
    (finding,) = gpus.findings(Graphics(has_device=True, hidden=True))
    assert finding.ok and "CUDA_VISIBLE_DEVICES" in finding.what


def test_a_card_is_shown_with_its_room_and_who_holds_the_rest() -> None:
    holders = (Holder(7, 0, "idle"), Holder(8, 10**9), Holder(9, 70 * 10**9, "vllm"))
    card = replace(GRAPHICS.cards[0], free_bytes=9 * 10**9, holders=holders)
    driver, line = gpus.findings(replace(GRAPHICS, cards=(card,)))
    assert driver.what == "driver 580.65, which knows CUDA 13.0"
    held = "vllm (pid 9) holds 70.0 GB, a process that the driver calls 8 holds 1.0 GB"
    assert line.what == f"cuda:0 H1, 9.0 of 80.0 GB free; {held}"


def test_a_cpu_wheel_beside_a_gpu_is_replaced_by_one_command() -> None:
    finding = of_wheel(Wheel("2.13.0+cpu", None))
    assert not finding.ok and not finding.needed and "2.13.0+cpu in environment torch is for CPUs only" in finding.what
    install = "env -u PIP_EXTRA_INDEX_URL yapbench install smart_turn --model=v2"
    assert finding.remedy == f"yapbench down smart_turn --purge=env && {install}"


def test_a_driver_too_old_for_the_wheel_is_named_with_the_one_it_takes() -> None:
    finding = of_wheel(Wheel("2.13.0", (13, 0)), replace(GRAPHICS, driver="535.1", cuda=(12, 2)))
    assert not finding.ok and not finding.needed and "it takes 580 or newer" in finding.what
    assert "nvidia-driver-580" in finding.remedy


@given(knows=VERSIONS, made_for=VERSIONS)
def test_a_driver_runs_every_minor_version_of_its_major_one_and_older_ones(
    knows: tuple[int, int], made_for: tuple[int, int]
) -> None:
    finding = of_wheel(Wheel("2", made_for), replace(GRAPHICS, cuda=knows))
    assert finding.ok == (knows[0] >= made_for[0])
    assert finding.ok or finding.remedy


def test_a_driver_that_does_not_say_is_not_accused() -> None:
    assert of_wheel(Wheel("2", (13, 0)), replace(GRAPHICS, cuda=None)).ok


@pytest.mark.parametrize(
    ("text", "wheel"),
    [
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", Wheel("2.13.0+cpu", None)),
        ("__version__ = '2.13.0+cu130'\ncuda: Optional[str] = '13.0'\n", Wheel("2.13.0+cu130", (13, 0))),
        ("__all__ = ['__version__', 'cuda']\n__version__ = '2.1'\ncuda = '12.6'\n", Wheel("2.1", (12, 6))),
    ],
)
def test_a_wheel_is_read_from_its_files(text: str, wheel: Wheel, tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "python3.12" / "site-packages" / "torch"
    folder.mkdir(parents=True)
    (folder / "version.py").write_text(text)
    assert gpus.wheel_in(tmp_path) == wheel
    assert gpus.wheel_in(tmp_path / "lib") is None


@pytest.mark.parametrize(
    ("variable", "left"),
    [(None, [0, 1, 2]), ("", []), ("-1", []), ("2,0", [2, 0]), ("1, 7", [1]), ("GPU-8932f937", [0, 1, 2])],
)
def test_the_variable_that_hides_cards_counts(variable: str | None, left: list[int]) -> None:
    assert gpus.visible(variable, 3) == left


def test_a_process_without_a_gpu_is_not_named_as_one_that_holds_it() -> None:
    assert gpus._name(os.getpid()) == ""


class Nvml:
    """NVML with one card that another process has half filled."""

    NVMLError = type("NVMLError", (Exception,), {})

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"H{handle}"

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"570.1"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 12080

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=80, used=40)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=0, usedGpuMemory=40)]

    def __getattr__(self, name: str) -> object:
        if name.startswith("nvmlDeviceGet"):
            raise self.NVMLError(name)
        return lambda: None


def test_a_drivers_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    found = gpus.look()
    assert found.cards == (Card(name="H0", total_bytes=80, free_bytes=40, holders=(Holder(0, 40),)),)
    assert (found.driver, found.cuda, found.has_device, found.hidden) == ("570.1", (12, 8), True, False)
