"""What `make` says on a machine that lacks something: one line, with the remedy."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECK = runpy.run_path(str(ROOT / "scripts" / "check_machine.py"))


def setup(purpose: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", str(ROOT / "scripts" / "setup.sh"), purpose]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)


def test_this_machine_has_what_it_takes() -> None:
    assert CHECK["problems"](str(ROOT), 0.001) == []


def test_a_full_disk_is_named_with_its_numbers() -> None:
    (line,) = CHECK["problems"](str(ROOT), 1e9)
    assert "GB free under" in line
    assert "are needed" in line


def test_an_old_python_gets_the_exact_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 12, "final", 0))
    (line,) = CHECK["problems"](str(ROOT), 0.001)
    assert line.startswith("Python 3.10 is too old, 3.11 is needed. Run: ")
    jammy = CHECK["newer_python_remedy"]({"ID": "ubuntu", "VERSION_ID": "22.04"}, True)
    assert jammy == "apt-get update && apt-get install -y python3.11 python3.11-venv && make PYTHON=python3.11 demo"


def test_a_missing_venv_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    (line,) = CHECK["problems"](str(ROOT), 0.001)
    assert f"python{sys.version_info[0]}.{sys.version_info[1]}-venv" in line


def test_a_setup_with_nothing_to_do_needs_no_python_at_all(tmp_path: Path) -> None:
    done = setup("test", {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unknown_purpose_is_refused() -> None:
    done = setup("everything", dict(os.environ))
    assert done.returncode == 2
    assert "demo, lab, test" in done.stderr


def test_the_check_compiles_for_old_pythons() -> None:
    import ast

    source = (ROOT / "scripts" / "check_machine.py").read_text(encoding="utf-8")
    tree: Any = ast.parse(source, feature_version=(3, 7))
    assert tree.body
