"""Processes that end together, whoever is the reason."""

from __future__ import annotations

import sys
from typing import Any

import psutil
import pytest

from yapbench.load import crew
from yapbench.load.crew import End

FOREVER = "print('{}', flush=True); import time; time.sleep(600)"
BREAKS = "import sys; print('{}', flush=True); sys.exit('no such file')"


def run(*scripts: str, on_line: crew.OnLine = lambda number, line: None, **environment: str) -> list[End]:
    commands = [[sys.executable, "-c", script] for script in scripts]
    return crew.run(commands, environment=environment, fine=(0, 6), on_line=on_line)


def test_what_each_says_is_heard() -> None:
    heard: list[tuple[int, dict[str, Any]]] = []
    script = "import os, json; [print(json.dumps({'n': n, 'key': os.environ['KEY']})) for n in range(2000)]"
    ends = run(script, script, on_line=lambda number, line: heard.append((number, line)), KEY="k")
    assert ends == [End(0, "", broke=False)] * 2
    for number in (0, 1):
        assert [line for who, line in heard if who == number] == [{"n": n, "key": "k"} for n in range(2000)]


def test_one_that_breaks_ends_the_others_and_is_named() -> None:
    first, second = run(FOREVER, BREAKS)
    assert second == End(1, "no such file", broke=True)
    assert (first.code, first.broke) == (-9, False)


def test_a_code_that_is_fine_ends_nobody() -> None:
    assert [end.code for end in run("import time; time.sleep(0.3)", "raise SystemExit(6)")] == [0, 6]


def test_an_exception_of_the_listener_ends_all() -> None:
    before = psutil.Process().children()

    def interrupt(number: int, line: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(FOREVER, FOREVER, on_line=interrupt)
    assert psutil.Process().children() == before


def test_a_command_that_cannot_be_started_leaves_none_of_the_others() -> None:
    before = psutil.Process().children()
    commands = [[sys.executable, "-c", FOREVER], ["/no/such/program"]]
    with pytest.raises(FileNotFoundError):
        crew.run(commands, environment={}, fine=(0,), on_line=lambda number, line: None)
    assert psutil.Process().children() == before
