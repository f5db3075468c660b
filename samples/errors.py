"""What can go wrong in samples: one small tree, facts as attributes.

SamplesError
├── EngineMissing     a synthesiser is not installed on this machine
├── SynthesisError    a synthesiser answered something that cannot be used
└── BadRow            one line of a .jsonl file breaks its rules
"""

from __future__ import annotations

from pathlib import Path


class SamplesError(Exception):
    """Root of the tree."""


class EngineMissing(SamplesError):
    """The synthesiser `engine` cannot be loaded; only `speak` and `python -m samples.synthesize` need it."""

    def __init__(self, engine: str, *, cause: str) -> None:
        super().__init__(f"{engine} is not installed ({cause}); on Debian or Ubuntu: apt-get install {engine}")
        self.engine = engine


class SynthesisError(SamplesError):
    """`engine` was given `text` and what came back does not fit it."""

    def __init__(self, engine: str, text: str, problem: str) -> None:
        super().__init__(f"{engine}: {problem}: {text!r}")
        self.engine = engine
        self.text = text


class BadRow(SamplesError):
    """Line `line` (from 1) of `path` is wrong; `problem` names the field."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem
