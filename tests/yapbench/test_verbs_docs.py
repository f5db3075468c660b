"""docs/verbs.md names every flag and verb, and its examples are commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from yapbench.cli import app
from yapbench.verbs.options import Options

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "verbs.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\| `(\w+)` .*`(yapbench .*)` \|$", DOCUMENT, flags=re.MULTILINE)


@pytest.mark.parametrize(("verb", "example"), EXAMPLES, ids=[verb for verb, _ in EXAMPLES])
def test_an_example_is_a_command(verb: str, example: str) -> None:
    program, *words = shlex.split(example)
    command, _, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    assert (program, words[0], command.__name__) == ("yapbench", verb, verb)


def test_every_verb_and_flag_is_named() -> None:
    assert len(EXAMPLES) == 8
    for field in fields(Options):
        assert f"`--{field.name.replace('_', '-')}`" in DOCUMENT
