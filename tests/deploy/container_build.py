"""Carries out a Dockerfile's own steps in plain folders, where no engine is: COPY copies, RUN runs.

Each stage gets a folder that stands for its root; absolute paths of ours (/app, /build, /weights, /tmp) are put under
it. Not done: the base image, which is this machine's Python, and RUN steps of the last stage, which change only that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.container_dockerfile import Stage, exec_form, pairs, put_in, read

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
OURS = re.compile(r"(?<![\w./-])/(?=(?:app|build|weights|tmp)\b)")


@dataclass(frozen=True)
class Image:
    """What the last stage holds."""

    root: Path
    environment: dict[str, str]
    entrypoint: list[str]
    healthcheck: list[str]


def build(context: Path, folder: Path, arguments: Mapping[str, str]) -> Image:
    """The image of `context`, in `folder`. Raises CalledProcessError with the output of the step that failed."""
    head, *stages = read(DOCKERFILE)
    roots = {stage.name: folder / (stage.name or "image") for stage in stages}
    for stage in stages:
        if stage.base in roots:
            shutil.copytree(roots[stage.base], roots[stage.name], symlinks=True, copy_function=os.link)
        _carry_out(stage, context, roots, dict(arguments))
    last, root = stages[-1], roots[""]
    values = _defaults(last) | dict(arguments)
    given = {name: put_in(value, values) for words in last.every("ENV") for name, value in pairs(words).items()}
    assert pairs(head.last("ARG"))["PYTHON"].startswith("3.11."), "the Python that is tested"
    return Image(
        root,
        {name: _under(root, value) for name, value in given.items()},
        [_under(root, word) for word in exec_form(last.last("ENTRYPOINT"))],
        [_under(root, word) for word in exec_form(last.last("HEALTHCHECK"))],
    )


def _carry_out(stage: Stage, context: Path, roots: Mapping[str, Path], values: dict[str, str]) -> None:
    root = roots[stage.name]
    (root / "tmp").mkdir(parents=True, exist_ok=True)
    here = root
    values = _defaults(stage) | values
    variables = dict[str, str]()
    for instruction, words in stage.steps:
        words = put_in(words, values)
        if instruction == "WORKDIR":
            here = Path(_under(root, words))
            here.mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            variables |= {name: _under(root, value) for name, value in pairs(words).items()}
        elif instruction == "COPY":
            _copy(words, context, roots, root, here)
        elif instruction == "RUN" and stage.name:
            _run(words, root, here, variables)


def _copy(words: str, context: Path, roots: Mapping[str, Path], root: Path, here: Path) -> None:
    flags, *rest = re.findall(r"^(?:--\S+ )*|\S+", words)
    source = re.search(r"--from=(\S+)", flags)
    base = roots[source[1]] if source else context
    *sources, target = (word for word in rest if word and not word.startswith("--"))
    to = Path(_under(root, target)) if target.startswith("/") else here / target
    for pattern in sources:
        found = sorted(base.glob(pattern.strip("/")))
        assert found, f"COPY {words}: nothing there"
        for path in found:
            if path.is_dir():
                shutil.copytree(path, to, symlinks=True, dirs_exist_ok=True, copy_function=os.link)
            else:
                copy = to / path.name if target.endswith("/") else to
                copy.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, copy)


def _run(words: str, root: Path, here: Path, variables: Mapping[str, str]) -> None:
    """The step's own command in a shell whose `python` is ours, with nothing of this environment but pip's settings."""
    command = _under(root, re.sub(r"--mount=\S+ ", "", words))
    programs = root / "tmp" / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "python").unlink(missing_ok=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    cache = {"PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(Path("~/.cache/pip").expanduser())}
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(root / "tmp"), **cache, **kept, **variables}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"RUN {words}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _defaults(stage: Stage) -> dict[str, str]:
    return {name: value for words in stage.every("ARG") for name, value in pairs(words).items()}


def _under(root: Path, text: str) -> str:
    return OURS.sub(f"{root}/", text)
