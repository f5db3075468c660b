"""A Dockerfile as data: its stages with their instructions, arguments put in. Reads what ours is written in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One FROM and what follows it."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    """Instruction and its words, as written but on one line."""

    def every(self, instruction: str) -> list[str]:
        return [words for name, words in self.steps if name == instruction]

    def last(self, instruction: str) -> str:
        """The one that is in force."""
        return self.every(instruction)[-1]


def read(path: Path) -> list[Stage]:
    """All stages, in order; what stands before the first FROM is in a stage of its own, named ""."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    stages = [Stage("", "")]
    for line in re.sub(r"\\\n", " ", text).splitlines():
        instruction, _, words = line.strip().partition(" ")
        if instruction == "FROM":
            base, _, name = words.partition(" AS ")
            stages.append(Stage(base, name))
        elif instruction:
            stages[-1].steps.append((instruction, " ".join(words.split())))
    return stages


def pairs(words: str) -> dict[str, str]:
    """`A=1 B="x y"` of ARG, ENV and LABEL; an ARG without a default is not among them."""
    return {name: quoted or bare for name, quoted, bare in re.findall(r'([\w.]+)=(?:"([^"]*)"|(\S*))', words)}


def put_in(words: str, values: Mapping[str, str]) -> str:
    """The words with `${NAME}` replaced; a name that has no value stays, for the shell."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], found[0]), words)


def exec_form(words: str) -> list[str]:
    """The words of an ENTRYPOINT, or of a HEALTHCHECK's CMD. Raises ValueError for the shell form."""
    return [str(word) for word in json.loads(words[words.index("[") :])]
