"""docs/runbook.md: ten commands, twice, and every command in it is one that exists."""

from __future__ import annotations

import re
import shlex
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest

from tests.yapbench.processes import CHECKOUT
from yapbench import envs
from yapbench.cli import app
from yapbench.pod import asked
from yapbench.sweep import Sweep

TEXT = (CHECKOUT / "docs" / "runbook.md").read_text(encoding="utf-8")
BLOCKS = [block.splitlines() for block in re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL)]
COMMANDS = [command for block in BLOCKS for line in block for command in line.split(" && ")]


def test_both_ways_have_ten_commands_and_differ_only_in_what_they_name() -> None:
    gpu, cpu = BLOCKS[:2]
    assert len(gpu) == len(cpu) == 10
    assert [line.split()[:2] for line in gpu] == [line.split()[:2] for line in cpu]
    steps = TEXT.split("| | what one sees")[1].split("\n\n")[0]
    assert re.findall(r"^\| (\d+) \| ", steps, flags=re.MULTILINE) == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith(".venv/bin/yapbench ")])
def test_a_verb_takes_its_words(command: str) -> None:
    words = shlex.split(command)[1:]
    called, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert called.__name__ == words[0]
    if words[0] == "sweep":
        assert Sweep.load(CHECKOUT / bound.arguments["file"]).name in words[1]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("deploy/pod.sh ")])
def test_pod_sh_takes_its_words(command: str, tmp_path: Path) -> None:
    program, server, *words = shlex.split(command)
    assert (CHECKOUT / program).stat().st_mode & 0o111
    assert asked.read(server, words, run=tmp_path).name == server


@pytest.mark.parametrize("command", [c for c in COMMANDS if "make " in c])
def test_make_has_the_target(command: str) -> None:
    settings = list(takewhile(lambda word: "=" in word, command.split()))
    target = command.split()[len(settings) + 1]
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
    assert [s.partition("=")[0] for s in settings] in ([], ["LAB_IP", "LAB_PORT"])


def test_every_other_command_is_git_tar_cd_or_the_key() -> None:
    ours = (".venv/bin/yapbench ", "deploy/pod.sh ", "make ", "LAB_IP=")
    others = {command.split()[0] for command in COMMANDS if not command.startswith(ours)}
    assert others == {"git", "cd", ".", "tar"}
    key = next(command for command in COMMANDS if command.startswith(". "))
    assert key == ". .run/fastconformer/key.env"


def test_the_report_that_is_published_is_the_sweep_s() -> None:
    for block in BLOCKS[:2]:
        sweep = re.search(r"sweep sweeps/(\S+)\.yaml", "\n".join(block))
        report = re.search(r"report runs/(\S+) --publish reports", "\n".join(block))
        assert sweep and report and sweep[1] == report[1]


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"`(YAPBENCH_[A-Z_]+)", TEXT)) | {"JUPYTER_TOKEN"}))
def test_a_variable_that_is_named_is_read(variable: str) -> None:
    done = subprocess.run(
        ["grep", "-rlw", "--include=*.py", variable, str(envs.CHECKOUT / "yapbench")], capture_output=True, text=True
    )
    assert done.stdout
