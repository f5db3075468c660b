"""Findings are a function of what the machine answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from yapbench import doctor
from yapbench.doctor import Probes
from yapbench.errors import ExitCode

WELL = Probes(
    platform="linux",
    python=(3, 12),
    has_venv=True,
    free_bytes=50_000_000_000,
    checkout=Path("/home/me/checkout"),
    writable=True,
    free_ports=100,
    cpus=8,
    missing_modules=(),
    model_lack="",
    tools={"flite": True, "espeak-ng": True, "chromium": True},
    gpus=("H1 (driver 555)",),
    gpu_device=True,
)


def test_a_good_machine_has_nothing_to_mend(capsys: pytest.CaptureFixture[str]) -> None:
    found = doctor.findings(WELL)
    assert all(finding.ok and not finding.remedy for finding in found)
    assert doctor.report(found) == ExitCode.OK
    assert "->" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "what", "remedy", "needed"),
    [
        ({"platform": "darwin"}, "operating system darwin", "use Linux", True),
        ({"python": (3, 10)}, "Python 3.10", "apt-get install -y python3.11 python3.11-venv", True),
        ({"has_venv": False}, "module venv", "apt-get install -y python3.12-venv", True),
        ({"free_bytes": 10**9}, "1.0 GB", "free 2.0 GB more", True),
        ({"writable": False}, "write access", "chown", True),
        ({"free_ports": 10}, "10 of 100", "ss -ltnp", True),
        ({"missing_modules": ("pandas",)}, "without pandas", "make setup", True),
        ({"model_lack": "not here: pip install x"}, "Smart Turn", "pip install x", True),
        ({"cpus": 1}, "1 CPU", "second one", False),
        ({"tools": {"flite": False}}, "flite", "apt-get install -y flite", False),
        ({"gpus": ()}, "driver does not answer", "nvidia-smi", False),
    ],
)
def test_each_lack_is_one_finding_with_its_remedy(
    change: dict[str, Any], what: str, remedy: str, needed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = doctor.findings(replace(WELL, **change))
    bad = [finding for finding in found if not finding.ok]
    assert len(bad) == 1
    assert what in bad[0].what and remedy in bad[0].remedy
    assert doctor.report(found) == (ExitCode.USAGE if needed else ExitCode.OK)
    assert f"-> {bad[0].remedy}" in capsys.readouterr().out


def test_no_gpu_is_nothing_to_mend() -> None:
    assert all(finding.ok for finding in doctor.findings(replace(WELL, gpus=(), gpu_device=False)))


def test_this_machine_can_run_the_tests() -> None:
    assert not [finding for finding in doctor.findings() if finding.needed and not finding.ok]
