"""Findings are a function of what the machine answered."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench.doctor_probes import WELL
from yapbench import catalog, doctor
from yapbench.doctor import Finding
from yapbench.errors import ExitCode


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
        ({"cpus": 1}, "1 CPU", "second one", False),
        ({"tools": {"flite": False}}, "flite", "apt-get install -y flite", False),
        ({"open_files": (1024, 524_288)}, "1024 open files", "ulimit -n 4096", False),
        ({"open_files": (1024, 1024)}, "1024 open files", "sudo prlimit", False),
        ({"shared_bytes": 1_000_000}, "1 MB of shared memory", "size=1g /dev/shm", False),
    ],
)
def test_each_lack_is_one_finding_with_its_remedy(
    change: dict[str, Any], what: str, remedy: str, needed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = doctor.findings(replace(WELL, machine=replace(WELL.machine, **change)))
    (bad,) = (finding for finding in found if not finding.ok)
    assert what in bad.what and remedy in bad.remedy
    assert doctor.report(found) == (ExitCode.USAGE if needed else ExitCode.OK)
    assert f"-> {bad.remedy}" in capsys.readouterr().out


def test_a_system_without_such_limits_is_told_nothing_of_them() -> None:
    found = doctor.findings(replace(WELL, machine=replace(WELL.machine, open_files=None, shared_bytes=None)))
    assert not [one for one in found if "open files" in one.what or "shared memory" in one.what]


def test_each_heading_is_printed_once_over_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lack = Finding(False, "b", "mend b", needed=False)
    doctor.report([Finding(True, "a"), lack, Finding(True, "c", heading="ports")])
    lines = ["machine", "  ok    a", "  note  b", "        -> mend b", "ports", "  ok    c"]
    assert capsys.readouterr().out.splitlines() == lines


def test_findings_of_a_heading_stand_together_and_what_fits_stands_last() -> None:
    headings = [finding.heading for finding in doctor.findings(WELL)]
    runs = [heading for heading, _ in groupby(headings)]
    assert runs == ["machine", "environments", "GPU", "weights", "ports", "servers that fit this machine"]


def test_this_machine_can_run_the_tests() -> None:
    assert not [finding for finding in doctor.findings() if finding.needed and not finding.ok]


def test_every_server_and_model_of_the_catalogue_is_judged() -> None:
    judged = [one.words for one in doctor.look().models]
    assert "smart_turn --model=v2" in judged and "echo" in judged
    assert {words.split()[0] for words in judged} == {entry.name for entry in catalog.CATALOG}


def test_looking_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    (tmp_path / ".env").write_text(f"HF_HOME={tmp_path}\n")
    folder = tmp_path / "hub" / "models--pipecat-ai--smart-turn-v2" / "snapshots" / "main"
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    v2 = next(one for one in doctor.look().models if one.model == "v2")
    assert v2.weights == str(folder)
    assert "HF_HOME" not in os.environ
