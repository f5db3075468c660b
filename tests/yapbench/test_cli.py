"""The command line: help that reads, exit codes that differ, mistakes in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from yapbench.errors import UsageError
from yapbench.single import read_flags

pytestmark = pytest.mark.slow  # real processes

ROOT = Path(__file__).resolve().parents[2]


def yapbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "yapbench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_help_lists_every_verb() -> None:
    done = yapbench("--help")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in ("doctor", "install", "serve", "run", "sweep", "report"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("serve", "smart_turm"), "did you mean 'smart_turn'"),
        (("serve", "smart_turn", "--window-mss=2"), "did you mean"),
        (("run", "smart_turn", "--windw-ms=2"), "did you mean 'window_ms'"),
        (("sweep", "no-such-file.yaml"), "no sweep file"),
        (("swep", "x"), "swep"),
        (("sweep",), "--file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments: tuple[str, ...], words: str) -> None:
    done = yapbench(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_serve_and_run_show_the_servers_own_help() -> None:
    assert "--window-ms" in yapbench("serve", "smart_turn", "--help").stdout
    assert "--window-ms" in yapbench("run", "smart_turn", "--help").stdout


def test_a_dry_run_lists_trials_and_an_estimate_and_runs_nothing(tmp_path: Path) -> None:
    done = yapbench("sweep", "sweeps/smart_turn-quick.yaml", "--dry-run", "--runs", str(tmp_path))
    assert done.returncode == 0
    assert "to run" in done.stdout and "about" in done.stdout and "24 points" in done.stdout
    assert not list(tmp_path.rglob("*.ipynb"))


def test_reporting_an_empty_folder_is_nothing_ran(tmp_path: Path) -> None:
    done = yapbench("report", str(tmp_path))
    assert done.returncode == 7, done.stderr


def test_flags_are_read_as_yaml_scalars() -> None:
    known = {"window_ms", "concurrency", "trace"}
    flags = ["--window-ms=2.5", "--concurrency", "1,4", "--trace=true"]
    assert read_flags(flags, known=known) == {"window_ms": 2.5, "concurrency": "1,4", "trace": True}
    with pytest.raises(UsageError, match="needs a value"):
        read_flags(["--window-ms"], known=known)
